//! How far a run has come: a pure state machine over the states of its hosts. It says what is to be done next; the loop
//! in `conduct` does it.

/// How far one host has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Being connected, deployed, greeted.
    Reaching,
    /// Said hello.
    Greeted,
    /// Has its share and gets ready.
    Arming,
    /// Ready to start.
    Armed,
    /// Was told to start.
    Running,
    /// Sent its report.
    Reported,
    /// Went missing after it was armed.
    Lost,
    /// Could not be reached, or refused, before the start.
    Refused,
}

impl Step {
    /// Whether nothing more is expected of this host.
    pub fn over(self) -> bool {
        matches!(self, Self::Reported | Self::Lost | Self::Refused)
    }
}

/// What is to be done next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Nothing, until something happens.
    Wait,
    /// Cut the plan over the hosts that are there and send each its share.
    Deal,
    /// All are armed: start.
    Start,
    /// Every host is done.
    Finish,
    /// Fewer hosts than `needed` are left.
    TooFew {
        /// Hosts left.
        left: usize,
    },
}

/// The run.
#[derive(Debug, Clone)]
pub struct Phase {
    steps: Vec<Step>,
    needed: usize,
    dealt: bool,
    started: bool,
}

impl Phase {
    /// `hosts` hosts to reach, of which `needed` must be armed.
    pub fn new(hosts: usize, needed: usize) -> Self {
        Self {
            steps: vec![Step::Reaching; hosts],
            needed,
            dealt: false,
            started: false,
        }
    }

    /// How far a host has come.
    pub fn step(&self, host: usize) -> Step {
        self.steps[host]
    }

    /// Whether the hosts were told to start.
    pub fn started(&self) -> bool {
        self.started
    }

    /// Hosts that are at this step.
    pub fn at(&self, step: Step) -> Vec<usize> {
        (0..self.steps.len()).filter(|host| self.steps[*host] == step).collect()
    }

    /// A host came to a step. Before the start a host that goes is refused and the shares must be cut again; after it,
    /// it is lost.
    pub fn came(&mut self, host: usize, step: Step) {
        let before = self.steps[host];
        if before.over() {
            return;
        }
        let step = match step {
            Step::Lost if !self.started => Step::Refused,
            Step::Refused if self.started => Step::Lost,
            step => step,
        };
        self.steps[host] = step;
        if step == Step::Refused && matches!(before, Step::Arming | Step::Armed) {
            self.dealt = false;
            for other in &mut self.steps {
                if matches!(other, Step::Arming | Step::Armed) {
                    *other = Step::Greeted;
                }
            }
        }
    }

    /// The shares were sent.
    pub fn dealt(&mut self) {
        self.dealt = true;
        for step in &mut self.steps {
            if *step == Step::Greeted {
                *step = Step::Arming;
            }
        }
    }

    /// The start was told.
    pub fn start(&mut self) {
        self.started = true;
        for step in &mut self.steps {
            if *step == Step::Armed {
                *step = Step::Running;
            }
        }
    }

    /// What is to be done now.
    pub fn next(&self) -> Next {
        let left = self.steps.iter().filter(|step| **step != Step::Refused).count();
        if self.started {
            return if self.steps.iter().all(|step| step.over()) {
                Next::Finish
            } else {
                Next::Wait
            };
        }
        if left < self.needed || left == 0 {
            return Next::TooFew { left };
        }
        if self.steps.contains(&Step::Reaching) {
            return Next::Wait;
        }
        if !self.dealt {
            return Next::Deal;
        }
        let armed = self
            .steps
            .iter()
            .all(|step| matches!(step, Step::Armed | Step::Refused));
        if armed { Next::Start } else { Next::Wait }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_armed_before_any_starts() {
        let mut phase = Phase::new(2, 2);
        phase.came(0, Step::Greeted);
        assert_eq!(phase.next(), Next::Wait);
        phase.came(1, Step::Greeted);
        assert_eq!(phase.next(), Next::Deal);
        phase.dealt();
        phase.came(0, Step::Armed);
        assert_eq!(phase.next(), Next::Wait);
        phase.came(1, Step::Armed);
        assert_eq!(phase.next(), Next::Start);
        phase.start();
        phase.came(0, Step::Reported);
        assert_eq!(phase.next(), Next::Wait);
        phase.came(1, Step::Lost);
        assert_eq!(phase.next(), Next::Finish);
        assert_eq!(phase.step(1), Step::Lost);
    }

    #[test]
    fn a_host_that_refuses_after_the_deal_makes_a_new_deal() {
        let mut phase = Phase::new(3, 2);
        (0..3).for_each(|host| phase.came(host, Step::Greeted));
        phase.dealt();
        phase.came(0, Step::Armed);
        phase.came(2, Step::Refused);
        assert_eq!(phase.next(), Next::Deal);
        phase.dealt();
        phase.came(0, Step::Armed);
        phase.came(1, Step::Armed);
        assert_eq!(phase.next(), Next::Start);
    }

    #[test]
    fn too_few_hosts_end_it_before_the_start() {
        let mut phase = Phase::new(2, 2);
        phase.came(0, Step::Refused);
        assert_eq!(phase.next(), Next::TooFew { left: 1 });
        let mut alone = Phase::new(1, 1);
        alone.came(0, Step::Lost);
        assert_eq!((alone.step(0), alone.next()), (Step::Refused, Next::TooFew { left: 0 }));
    }
}
