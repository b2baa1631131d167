//! Back and forth through the steps of a replay.

use neap_protocol::time::Moment;

use super::player::AnyPlayer;
use super::{Finding, Playing, Replay, Step};

/// How far apart the states are that are kept: to go back costs no more steps than that.
const KEPT_EVERY: usize = 512;

/// A replay that stands at some step: 0 is before the first.
pub struct Debugger<'a> {
    replay: &'a Replay,
    findings: Vec<Finding>,
    kept: Vec<Playing<'a>>,
    now: Playing<'a>,
    /// The step that led to where it stands.
    step: Option<Step>,
    steps: usize,
}

impl<'a> Debugger<'a> {
    /// Before the first step of a replay; what a check of it found is shown at the steps.
    pub fn new(replay: &'a Replay) -> Self {
        let report = replay.check();
        let now = Playing::new(replay);
        Self {
            replay,
            findings: report.findings,
            kept: vec![now.clone()],
            now,
            step: None,
            steps: report.steps,
        }
    }

    /// How many steps there are.
    pub fn len(&self) -> usize {
        self.steps
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.steps == 0
    }

    /// At which step it stands.
    pub fn at(&self) -> usize {
        self.now.number
    }

    /// The step that led to where it stands.
    pub fn step(&self) -> Option<&Step> {
        self.step.as_ref()
    }

    /// What is wrong with that step.
    pub fn wrong(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.step == self.at())
    }

    /// Everything that is wrong.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// One step on. `false`: there is none.
    pub fn forward(&mut self) -> bool {
        let Some(step) = self.now.step() else { return false };
        self.step = Some(step);
        if self.at() == self.kept.len() * KEPT_EVERY {
            self.kept.push(self.now.clone());
        }
        true
    }

    /// One step back. `false`: it stands before the first.
    pub fn back(&mut self) -> bool {
        self.at() > 0 && self.go(self.at() - 1)
    }

    /// To a step. `false`: there are fewer, and it stands where it stood.
    pub fn go(&mut self, to: usize) -> bool {
        if to > self.steps {
            return false;
        }
        if to < self.at() {
            // From before the step, so that it is played and can be shown.
            let kept = to.saturating_sub(1) / KEPT_EVERY;
            self.now = self.kept[kept.min(self.kept.len() - 1)].clone();
            self.step = None;
        }
        while self.at() < to && self.forward() {}
        true
    }

    /// To the next step after this whose lines contain `text`. `false`: there is none, and it stands where it stood.
    pub fn find(&mut self, text: &str) -> bool {
        let from = self.at();
        let wanted = text.to_lowercase();
        while self.forward() {
            let found = self.lines().iter().any(|line| line.to_lowercase().contains(&wanted));
            if found {
                return true;
            }
        }
        self.go(from);
        false
    }

    /// The nodes.
    pub fn nodes(&self) -> impl Iterator<Item = &'a str> {
        self.replay.nodes.iter().map(|node| node.name.as_str())
    }

    /// The node whose name contains `text`, and nobody else's does.
    ///
    /// # Errors
    /// What to name instead.
    pub fn node(&self, text: &str) -> Result<usize, String> {
        let exact = self.nodes().position(|name| name == text || name.ends_with(&format!(" {text}")));
        let mut found = self.nodes().enumerate().filter(|(_, name)| name.contains(text)).map(|(at, _)| at);
        match (exact, found.next(), found.next()) {
            (Some(node), ..) | (None, Some(node), None) => Ok(node),
            (None, ..) => {
                let names: Vec<&str> = self.nodes().collect();
                Err(format!("{text} is not one node; there are {}", names.join(", ")))
            }
        }
    }

    /// The state of a node's machine.
    pub fn machine(&self, node: usize) -> String {
        AnyPlayer::machine(self.now.player(node))
    }

    /// The step that led here, as people read it.
    pub fn lines(&self) -> Vec<String> {
        let Some(step) = &self.step else {
            let begin = "before the first step: `next`, `goto N` or `find TEXT` go on, `help` tells more";
            return vec![begin.into()];
        };
        let node = &self.replay.nodes[step.node].name;
        let mut lines = Vec::new();
        if step.begins_run {
            lines.push(format!("        {node} starts"));
        }
        let at = clock(step.played.at());
        lines.push(format!("{:>6}  {at}  {node}  takes {}", step.number, step.played.input()));
        lines.extend(step.played.effects().into_iter().map(|effect| format!("        asks {effect}")));
        lines.extend(self.wrong().map(|finding| format!("      ! {}: {}", finding.check, finding.what)));
        lines
    }
}

/// The time of day, in UTC.
pub fn clock(at: Moment) -> String {
    let ms = at.0 % 86_400_000;
    format!("{:02}:{:02}:{:02}.{:03}", ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60, ms % 1000)
}
