//! temporary
use swarm::cli::attack::{self, Surroundings, crew, steps};
use swarm::cli::{self, Command, Parsed};
#[tokio::main]
async fn main() {
    let parsed = match cli::parse(std::env::args_os()) {
        Ok(p) => p,
        Err(e) => {
            eprintln!("swarm: {e}");
            std::process::exit(2)
        }
    };
    match parsed {
        Parsed::Text(t) => println!("{t}"),
        Parsed::Command(Command::Attack(args)) => {
            let mut command = match attack::understand(&args, &Surroundings::real()) {
                Ok(c) => c,
                Err(e) => {
                    eprintln!("swarm: {e}");
                    std::process::exit(2)
                }
            };
            let hosts = crew::hosts(&command.hosts).unwrap();
            let text = steps::plan_text(&command, &hosts);
            eprintln!("{text}");
            steps::resolve(&mut command.plan).await;
            let ok = steps::agree(&command, &text).unwrap();
            let (tx, mut rx) = tokio::sync::mpsc::unbounded_channel();
            tokio::spawn(async move {
                while let Some(n) = rx.recv().await {
                    eprintln!("{n:?}");
                }
            });
            let r = steps::run(&command, &hosts, ok, tx).await;
            match r {
                Ok(o) => {
                    for h in &o.hosts {
                        eprintln!("{} {:?} {:?}", h.name, h.clock, h.end);
                    }
                }
                Err(e) => eprintln!("error {} exit {}", e.chain(), e.exit().code()),
            }
        }
        Parsed::Command(_) => {}
    }
}
