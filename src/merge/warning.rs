//! A `Warning`: a doubt about a result, with what to do about it. Never an error.

/// A doubt about the result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// A stable snake_case word.
    pub kind: String,
    /// What is doubtful, with numbers.
    pub text: String,
    /// What to do about it.
    pub advice: Option<String>,
}

impl Warning {
    /// A doubt without advice.
    pub fn new(kind: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            kind: kind.into(),
            text: text.into(),
            advice: None,
        }
    }

    /// The same with advice.
    pub fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }
}
