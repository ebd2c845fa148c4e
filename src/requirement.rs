//! `--require`: the grammar of requirements, parsed before any host is touched.

/// One requirement.
#[derive(Debug, Clone, PartialEq)]
pub struct Requirement {
    /// As typed.
    pub expr: String,
}
