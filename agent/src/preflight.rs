//! Whether this host can do its share: descriptors, ports, memory, source addresses. It refuses before any load, with
//! the flag to change. Never changes the plan.

use crate::pacer;
use crate::recorder::flows::Flows;
use crate::wire::flow::{Act, Program};
use crate::wire::message::Hello;
use crate::wire::share::{Carrier, Engine, Load, Share};
use std::net::{IpAddr, SocketAddr, TcpListener};

/// Descriptors that the agent needs beside its connections.
const FILES_BESIDE: u64 = 64;
/// Memory that one connection takes at most while it is idle, bytes: measured, with room for the kernel's part.
const PLAIN: u64 = 12 * 1024;
const TLS: u64 = 28 * 1024;

/// Checks the share against the host. `resolved` are the addresses of each target.
pub fn check(share: &Share, hello: &Hello, resolved: &[Vec<IpAddr>]) -> Result<Vec<String>, String> {
    let connections = connections(share);
    files(share, hello, connections)?;
    memory(share, hello, connections)?;
    histograms(share, hello)?;
    sources(&share.sources)?;
    ports(share, hello, connections, resolved)?;
    let mut warnings = Vec::new();
    if connections == 0 {
        warnings.push("this host has nothing to do: the plan has fewer connections than hosts".to_owned());
    }
    Ok(warnings)
}

/// Connections that this host holds at once.
pub fn connections(share: &Share) -> u64 {
    let whole = match &share.load {
        Load::Closed(closed) => pacer::connections(&closed.connections),
        Load::Open(open) => open.connections,
        Load::Held(held) => pacer::connections(&held.clients),
    };
    share.deal.count(whole)
}

fn sockets_each(share: &Share) -> u64 {
    let sockets = |carrier| match carrier {
        Carrier::Polling => 2,
        Carrier::Upgrade => 3,
        Carrier::Websocket => 1,
    };
    let mut each = share.engine.engineio().map_or(1, |(carrier, _)| sockets(carrier));
    let Some(program) = &share.program else { return each };
    let mut requests = false;
    for act in acts(program) {
        match act {
            Act::Connect(connect) => each = each.max(connect.carrier.map_or(1, sockets)),
            Act::Http(_) => requests = true,
            _ => {}
        }
    }
    each + u64::from(requests && !matches!(share.engine, Engine::Http(_)))
}

fn acts(program: &Program) -> impl Iterator<Item = &Act> {
    let lines = program.flows.iter().flat_map(|flow| flow.lines());
    lines.map(|line| &line.step.act)
}

/// Each step has a distribution on each thread: it may take a quarter of the memory in the worst case.
fn histograms(share: &Share, hello: &Hello) -> Result<(), String> {
    let Some(program) = &share.program else { return Ok(()) };
    let needed = Flows::most_memory(program) * u64::from(hello.cores.max(1));
    if hello.memory > 0 && needed > hello.memory / 4 {
        return Err(format!(
            "the playbook's {} steps may need {} MiB for their latencies on {} threads, and {} MiB are free: fewer steps, or hosts with more memory",
            acts(program).count(),
            needed >> 20,
            hello.cores.max(1),
            hello.memory >> 20
        ));
    }
    Ok(())
}

fn files(share: &Share, hello: &Hello, connections: u64) -> Result<(), String> {
    let needed = connections * sockets_each(share) + FILES_BESIDE;
    if needed > hello.files {
        return Err(format!(
            "needs {needed} file descriptors for {connections} connections and may open {}: raise `ulimit -n` on the host, lower -c, or use more hosts",
            hello.files
        ));
    }
    Ok(())
}

fn memory(share: &Share, hello: &Hello, connections: u64) -> Result<(), String> {
    let each = if share.targets.iter().any(|target| target.tls) {
        TLS
    } else {
        PLAIN
    };
    let needed = connections * each * sockets_each(share);
    if hello.memory > 0 && needed > hello.memory {
        return Err(format!(
            "needs {} MiB for {connections} connections and has {} MiB free: lower -c or use more hosts",
            needed >> 20,
            hello.memory >> 20
        ));
    }
    Ok(())
}

fn sources(sources: &[IpAddr]) -> Result<(), String> {
    for source in sources {
        TcpListener::bind(SocketAddr::new(*source, 0))
            .map_err(|error| format!("cannot connect from {source} (--source-ips): {error}"))?;
    }
    Ok(())
}

fn ports(share: &Share, hello: &Hello, connections: u64, resolved: &[Vec<IpAddr>]) -> Result<(), String> {
    let (first, last) = hello.ports;
    let range = u64::from(last.saturating_sub(first)) + 1;
    // ports are free per pair of source and target address; the busiest target takes all in the worst case
    let addresses = resolved.iter().map(Vec::len).min().unwrap_or(1).max(1) as u64;
    let room = range * addresses * (share.sources.len().max(1) as u64);
    let lives = match &share.load {
        Load::Held(held) => pacer::lives(held),
        Load::Closed(_) | Load::Open(_) => 1,
    };
    let needed = connections * sockets_each(share) * lives;
    if needed > room {
        return Err(format!(
            "needs {needed} local ports and has {room} ({range} a source and target address, ports {first}-{last}): add --source-ips, lower -c, or use more hosts"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::share::*;

    fn share(clients: u64, carrier: Carrier) -> Share {
        let engine = Engine::Socketio(Socketio {
            carrier,
            path: "/socket.io/".into(),
            namespace: "/".into(),
            query: vec![],
            auth: None,
            emits: vec![],
            ack: false,
            expect: None,
            version: Eio::Auto,
        });
        Share {
            run: "test".into(),
            round: 0,
            host_index: 0,
            hosts: 1,
            deal: Deal {
                mine: vec![0],
                slots: 1,
            },
            targets: vec![],
            engine,
            load: Load::Held(Held {
                clients: Level::Ramp {
                    count: clients,
                    rate: None,
                },
                end: 0,
                cadence: None,
                requests: None,
                reconnect: None,
                storms: Vec::new(),
            }),
            request: Request {
                headers: vec![],
                cookie: None,
                keep_cookies: true,
            },
            tls: Tls::default(),
            sources: vec![],
            consent: Consent::Missing,
            backend_from: BackendFrom::Usual,
            seen_from: None,
            limits: Limits {
                connect: 0,
                hit: 0,
                ack: 0,
                grace: 0,
                silence: 0,
                resolve_every: None,
            },
            trace: false,
            program: None,
            broadcast: None,
        }
    }

    fn hello() -> Hello {
        Hello {
            build: String::new(),
            pid: 1,
            cores: 1,
            memory: 1 << 30,
            files: 1024,
            ports: (32_768, 60_999),
            interfaces: vec![],
        }
    }

    #[test]
    fn too_few_descriptors_are_named_with_the_way_out() {
        let refused = check(&share(400, Carrier::Upgrade), &hello(), &[]).unwrap_err();
        assert!(
            refused.contains("needs 1264 file descriptors for 400 connections and may open 1024"),
            "{refused}"
        );
        assert!(check(&share(400, Carrier::Websocket), &hello(), &[]).is_ok());
    }

    #[test]
    fn too_few_ports_name_source_ips() {
        let hello = Hello {
            files: 1 << 20,
            ports: (40_000, 40_099),
            ..hello()
        };
        let refused = check(
            &share(101, Carrier::Websocket),
            &hello,
            &[vec![IpAddr::from([10, 0, 0, 1])]],
        )
        .unwrap_err();
        assert!(
            refused.contains("needs 101 local ports and has 100") && refused.contains("--source-ips"),
            "{refused}"
        );
    }

    #[test]
    fn a_playbook_that_needs_more_memory_or_descriptors_is_refused() {
        use crate::wire::flow::*;
        let http = Act::Http(Http {
            method: "GET".into(),
            target: None,
            path: None,
            headers: vec![],
            body: None,
            ok: vec![],
            reply: Reply::default(),
        });
        let step = Step {
            label: "get".into(),
            act: http,
            on_failure: OnFailure::End,
        };
        let mut played = share(400, Carrier::Websocket);
        let flow = Flow {
            name: "f".into(),
            weight: 1,
            steps: vec![step; 3_000],
        };
        played.program = Some(Box::new(Program {
            flows: vec![flow],
            ..Program::default()
        }));
        let refused = check(&played, &hello(), &[]).unwrap_err();
        assert!(refused.contains("3000 steps may need"), "{refused}");
        if let Some(program) = &mut played.program {
            program.flows[0].steps.truncate(1);
        }
        assert!(check(&played, &hello(), &[]).is_ok());
        // one more for its requests
        let refused = check(
            &{
                let mut more = played.clone();
                more.load = share(481, Carrier::Websocket).load;
                more
            },
            &hello(),
            &[],
        );
        assert!(refused.unwrap_err().contains("needs 1026 file descriptors for 481"));
    }

    #[test]
    fn an_address_that_is_not_ours_is_refused() {
        let refused = sources(&[IpAddr::from([192, 0, 2, 77])]).unwrap_err();
        assert!(
            refused.contains("192.0.2.77") && refused.contains("--source-ips"),
            "{refused}"
        );
    }
}
