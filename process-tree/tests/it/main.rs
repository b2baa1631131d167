//! Process trees, over every means that works on this machine; one that does not is named on standard error.

mod endings;
mod incarnations;
mod launches;
mod sandbox;
mod unprivileged;

/// Makes of each `async fn(Sandbox)` a test for each means.
macro_rules! over_all_means {
    ($($name:ident),+ $(,)?) => {
        mod cgroup { $crate::over_all_means!(@ Cgroup: $($name),+); }
        mod pid_namespace { $crate::over_all_means!(@ PidNamespace: $($name),+); }
        mod subreaper { $crate::over_all_means!(@ Subreaper: $($name),+); }
    };
    (@ $means:ident: $($name:ident),+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let opened = $crate::sandbox::Sandbox::open(neap_process_tree::Means::$means);
                if let Some(sandbox) = opened {
                    super::$name(sandbox).await;
                }
            }
        )+
    };
}
pub(crate) use over_all_means;
