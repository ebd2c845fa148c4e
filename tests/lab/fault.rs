//! Owns: what can go wrong with a call to EC2, and which calls it befalls. Must not: carry it out (the proxy does).

use crate::cloud_proxy::Call;

/// What becomes of a call that a fault catches.
#[derive(Debug, Clone)]
pub enum Effect {
    /// Answered here; it never reaches EC2.
    Refused { status: u16, code: String, message: String },
    /// It takes effect; its answer never arrives.
    AnswerLost,
    /// The connection is closed before it takes effect.
    Dropped,
}

/// Which calls go wrong, and how.
#[derive(Debug, Clone)]
pub struct Fault {
    pub effect: Effect,
    action: Option<String>,
    region: Option<String>,
    with: Option<String>,
    from: usize,
    pub times: usize,
}

impl Fault {
    fn new(effect: Effect) -> Self {
        Self {
            effect,
            action: None,
            region: None,
            with: None,
            from: 0,
            times: usize::MAX,
        }
    }

    /// EC2's error answer.
    pub fn error(status: u16, code: &str, message: &str) -> Self {
        let (code, message) = (code.to_owned(), message.to_owned());
        Self::new(Effect::Refused { status, code, message })
    }

    pub fn throttled() -> Self {
        Self::error(503, "RequestLimitExceeded", "Request limit exceeded.")
    }

    pub fn no_capacity() -> Self {
        Self::error(
            500,
            "InsufficientInstanceCapacity",
            "We currently do not have sufficient capacity.",
        )
    }

    pub fn quota_too_low() -> Self {
        let message = "You have requested more vCPU capacity than your current vCPU limit of 1 allows for the instance \
                       bucket that the specified instance type belongs to.";
        Self::error(400, "VcpuLimitExceeded", message)
    }

    pub fn expired() -> Self {
        Self::error(400, "RequestExpired", "Request has expired.")
    }

    pub fn not_authorized() -> Self {
        Self::error(
            403,
            "UnauthorizedOperation",
            "You are not authorized to perform this operation.",
        )
    }

    pub fn bad_credentials() -> Self {
        let message = "AWS was not able to validate the provided access credentials";
        Self::error(401, "AuthFailure", message)
    }

    /// The call takes effect, but its answer is lost.
    pub fn answer_lost() -> Self {
        Self::new(Effect::AnswerLost)
    }

    /// The connection breaks before the call takes effect.
    pub fn dropped() -> Self {
        Self::new(Effect::Dropped)
    }

    /// Of this action alone.
    pub fn of(mut self, action: &str) -> Self {
        self.action = Some(action.into());
        self
    }

    pub fn in_region(mut self, region: &str) -> Self {
        self.region = Some(region.into());
        self
    }

    /// Only calls that have this value in a parameter, such as an instance's or subnet's id.
    pub fn with(mut self, value: &str) -> Self {
        self.with = Some(value.into());
        self
    }

    /// From the k-th call on (of any action, counted from the last reset).
    pub fn starting_at(mut self, k: usize) -> Self {
        self.from = k;
        self
    }

    /// Only the first n calls that it catches.
    pub fn times(mut self, n: usize) -> Self {
        self.times = n;
        self
    }

    pub fn catches(&self, call: &Call) -> bool {
        self.times > 0
            && call.number >= self.from
            && self.action.as_ref().is_none_or(|a| *a == call.action)
            && self.region.as_ref().is_none_or(|r| *r == call.region)
            && self
                .with
                .as_ref()
                .is_none_or(|v| call.parameters.values().any(|p| p == v))
    }
}
