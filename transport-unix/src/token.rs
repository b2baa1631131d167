use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::str::FromStr;

/// How many bytes a token has.
const TOKEN_SIZE: usize = 32;

/// The secret by which a slave knows an executor that it started: 32 bytes, written as 64 hexadecimal digits. It is
/// not shown by `Debug`.
#[derive(Clone)]
pub struct Token([u8; TOKEN_SIZE]);

impl Token {
    /// A token that nobody can guess.
    ///
    /// # Errors
    /// If the system gives no randomness.
    pub fn random() -> io::Result<Self> {
        let mut bytes = [0; TOKEN_SIZE];
        File::open("/dev/urandom")?.read_exact(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// The token as an environment variable carries it. It is a secret.
    pub fn to_hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The token of these bytes, which are to be as hard to guess.
    pub fn from_bytes(bytes: [u8; TOKEN_SIZE]) -> Self {
        Self(bytes)
    }

    pub(crate) fn as_bytes(&self) -> &[u8; TOKEN_SIZE] {
        &self.0
    }
}

impl FromStr for Token {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        let mut bytes = [0; TOKEN_SIZE];
        if text.len() != 2 * TOKEN_SIZE || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(TokenError);
        }
        for (byte, place) in bytes.iter_mut().zip((0..).step_by(2)) {
            *byte = u8::from_str_radix(&text[place..place + 2], 16).map_err(|_| TokenError)?;
        }
        Ok(Self(bytes))
    }
}

/// How long it takes does not depend on where two tokens differ.
impl PartialEq for Token {
    fn eq(&self, other: &Self) -> bool {
        let pairs = self.0.iter().zip(&other.0);
        std::hint::black_box(pairs.fold(0, |differs, (one, other)| differs | (one ^ other))) == 0
    }
}

impl Eq for Token {}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(secret)")
    }
}

/// The text is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an executor's token has 64 hexadecimal digits: pass on what the slave gave, unchanged")]
pub struct TokenError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_survives_its_text_and_stays_secret() {
        let token = Token::random().unwrap();
        assert_eq!(token.to_hex().parse(), Ok(token.clone()));
        assert_ne!(token, Token::random().unwrap());
        assert!(!format!("{token:?}").contains(&token.to_hex()[..8]));
    }

    #[test]
    fn other_text_is_no_token() {
        for text in ["", "12", &"g".repeat(64), &"é".repeat(32), &"+1".repeat(32), &"0".repeat(65)] {
            assert_eq!(text.parse::<Token>(), Err(TokenError), "{text:?}");
        }
    }
}
