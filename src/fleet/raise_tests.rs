//! Tests of what EC2's word does to the ledger. Pure: no call is made.

#![allow(clippy::unwrap_used)]

use super::ec2::{Instance, Phase};
use super::ledger::{FleetHost, Launch, LaunchState, Ledger};
use super::raise::reconcile;
use jiff::{SignedDuration, Timestamp};

const OWNER: &str = "arn@0123456789abcdef";

fn instance(id: &str, token: &str, phase: Phase) -> Instance {
    Instance {
        id: id.into(),
        phase,
        kind: "t2.micro".into(),
        zone: "us-east-1a".into(),
        address: Some("203.0.113.7".parse().unwrap()),
        private: vec!["10.0.0.1".parse().unwrap()],
        interface: None,
        launched_at: Timestamp::now(),
        spot: false,
        token: Some(token.into()),
        fleet: "f".into(),
        owner: OWNER.into(),
        run: "r".into(),
        until: None,
    }
}

fn ledger(launched: &[&str], age: SignedDuration) -> Ledger {
    let mut ledger = Ledger::new("f", OWNER, "ec2-user");
    let held = ledger.region("us-east-1");
    held.launches.push(Launch {
        token: "r-0".into(),
        count: 2,
        subnet: "subnet-1".into(),
        at: Timestamp::now(),
        until: Timestamp::now() + SignedDuration::from_hours(2),
        boot_key: "ssh-ed25519 BOOT".into(),
        hourly: Some(0.0116),
        state: LaunchState::Asked,
    });
    held.hosts.extend(launched.iter().map(|id| FleetHost {
        id: (*id).into(),
        run: "r".into(),
        kind: "t2.micro".into(),
        zone: "us-east-1a".into(),
        address: None,
        private: Vec::new(),
        launched_at: Timestamp::now() - age,
        until: Timestamp::now() + SignedDuration::from_hours(2),
        spot: false,
        hourly: None,
        boot_key: None,
        ready: true,
    }));
    ledger
}

fn ids(ledger: &Ledger) -> Vec<String> {
    ledger.hosts().map(|(_, host)| host.id.clone()).collect()
}

#[test]
fn hosts_of_a_launch_whose_answer_was_lost_are_taken_in() {
    let mut ledger = ledger(&[], SignedDuration::ZERO);
    let listed = [
        instance("i-1", "r-0", Phase::Pending),
        instance("i-2", "r-0", Phase::Running),
    ];
    assert!(reconcile(&mut ledger, "us-east-1", &listed).is_empty());
    assert_eq!(ids(&ledger), ["i-1", "i-2"]);
    assert_eq!(ledger.unanswered().count(), 0);
    let host = ledger.host_mut("i-1").unwrap();
    assert_eq!(
        (host.boot_key.as_deref(), host.hourly),
        (Some("ssh-ed25519 BOOT"), Some(0.0116))
    );
    // and only once
    reconcile(&mut ledger, "us-east-1", &listed);
    assert_eq!(ids(&ledger).len(), 2);
}

#[test]
fn what_nothing_is_noted_of_is_a_stranger_and_others_are_nobodys_business() {
    let mut ledger = ledger(&[], SignedDuration::ZERO);
    let mut other = instance("i-3", "r-0", Phase::Running);
    other.owner = "arn@fedcba9876543210".into();
    let listed = [instance("i-1", "elsewhere", Phase::Running), other];
    let strangers = reconcile(&mut ledger, "us-east-1", &listed);
    assert_eq!(strangers.len(), 1);
    assert_eq!(strangers[0].id, "i-1");
    assert!(ids(&ledger).is_empty());
}

#[test]
fn what_is_gone_is_struck_out_and_what_is_late_is_waited_for() {
    let listed = [
        instance("i-1", "r-0", Phase::Ending),
        instance("i-2", "r-0", Phase::Terminated),
        instance("i-3", "r-0", Phase::Stopped),
    ];
    let mut young = ledger(&["i-1", "i-2", "i-3", "i-4"], SignedDuration::from_secs(5));
    reconcile(&mut young, "us-east-1", &listed);
    assert_eq!(ids(&young), ["i-4"]);
    let mut old = ledger(&["i-4"], SignedDuration::from_mins(5));
    reconcile(&mut old, "us-east-1", &listed);
    assert!(ids(&old).is_empty());
}
