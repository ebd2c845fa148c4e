//! What a host of a fleet is told at boot: the text that cloud-init reads. Pure; never here: EC2, SSH, clocks, keys that
//! last. The text holds the boot host key: it is no more secret than the metadata service of the host, and is printed nowhere.

use std::fmt::Write as _;

/// Where the timer lies on a host, with its files; only root can enter.
pub const FOLDER: &str = "/var/lib/swarm";
/// What EC2 takes at most, in bytes before base64.
pub const LIMIT: usize = 16 * 1024;

/// The timer; it runs as `sh FOLDER/ttl`.
const TTL: &str = include_str!("ttl.sh");
/// Ends the timer's text in the shell that writes it down; no line of it is this.
const END: &str = "SWARM_TTL_ENDS";

/// What is told. Not `Debug`: it holds a private key.
#[derive(Clone, Copy)]
pub struct Boot<'a> {
    /// The boot host key: an OpenSSH PEM, ed25519, without a passphrase.
    pub host_private: &'a str,
    /// Its public half: `ssh-ed25519 BASE64`, with or without a comment.
    pub host_public: &'a str,
    /// The throwaway login key; `None` where EC2 brings a key pair of the user's (`--key`).
    pub login_public: Option<&'a str>,
    /// When the host must be gone, in seconds since 1970.
    pub until_s: i64,
    /// The longest it may live, in seconds from its boot.
    pub ttl_s: u64,
}

/// The `#cloud-config`. The timer is set in `bootcmd`: at each boot, before sshd runs.
pub fn user_data(boot: &Boot) -> String {
    let mut text = String::from(
        "#cloud-config\n\
         package_update: false\n\
         package_upgrade: false\n\
         ssh_deletekeys: true\n\
         ssh_genkeytypes: [ed25519]\n\
         ssh_keys:\n\
         \x20 ed25519_private: |\n",
    );
    indented(&mut text, 4, boot.host_private.trim().lines().map(str::trim));
    writing(writeln!(text, "  ed25519_public: {}", quoted(boot.host_public)));
    if let Some(login) = boot.login_public {
        writing(writeln!(text, "ssh_authorized_keys:\n  - {}", quoted(login)));
    }
    text.push_str("bootcmd:\n  - |\n");
    indented(&mut text, 4, start_timer(boot).lines());
    // Updates that begin by themselves would be measured with the load.
    text.push_str(
        "  - |\n    \
         for unit in apt-daily apt-daily-upgrade dnf-makecache; do\n      \
         systemctl mask --runtime $unit.timer $unit.service && systemctl --no-block stop $unit.timer\n    \
         done >/dev/null 2>&1 || :\n",
    );
    text
}

/// `bootcmd` comes before `write_files`, so it writes the timer itself, and afresh at each boot.
fn start_timer(boot: &Boot) -> String {
    // A host that should be gone already ends at once: 0.
    let until_s = boot.until_s.max(0);
    let ttl_s = boot.ttl_s;
    format!(
        "(\n\
         umask 077\n\
         mkdir -p {FOLDER} && chmod 700 {FOLDER}\n\
         cat >{FOLDER}/ttl.new <<'{END}'\n\
         {TTL}\
         {END}\n\
         chmod 700 {FOLDER}/ttl.new && mv -f {FOLDER}/ttl.new {FOLDER}/ttl\n\
         sh {FOLDER}/ttl start {until_s} {ttl_s}\n\
         )\n"
    )
}

fn indented<'a>(text: &mut String, by: usize, lines: impl Iterator<Item = &'a str>) {
    for line in lines {
        // A line of blanks only would be part of the block as well, but an empty one is clearer.
        let by = if line.is_empty() { 0 } else { by };
        writing(writeln!(text, "{:by$}{line}", ""));
    }
}

/// A one-line YAML string: JSON's strings are YAML's as well.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text.trim()).to_string()
}

fn writing(done: std::fmt::Result) {
    done.expect("a String takes all that is written to it");
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRIVATE: &str =
        "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEA\nAAAEbm9uZQ==\n-----END OPENSSH PRIVATE KEY-----\n";
    const PUBLIC: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIboot swarm-boot";
    const LOGIN: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIlogin it's \"mine\"";

    fn boot() -> Boot<'static> {
        Boot {
            host_private: PRIVATE,
            host_public: PUBLIC,
            login_public: Some(LOGIN),
            until_s: 1_900_000_000,
            ttl_s: 7200,
        }
    }

    /// The block that begins after this line, with its indentation taken off.
    fn block(text: &str, head: &str, by: usize) -> String {
        let lines = text.lines().skip_while(|line| *line != head).skip(1);
        let inside = |line: &&str| line.is_empty() || line.starts_with(&" ".repeat(by));
        lines
            .take_while(inside)
            .map(|line| format!("{}\n", line.get(by..).unwrap_or_default()))
            .collect()
    }

    #[test]
    fn the_host_key_arrives_letter_by_letter() {
        let text = user_data(&boot());
        assert!(
            text.starts_with("#cloud-config\n"),
            "cloud-init looks at the first line"
        );
        assert_eq!(block(&text, "  ed25519_private: |", 4), PRIVATE);
        assert!(text.contains(&format!("\n  ed25519_public: \"{PUBLIC}\"\n")));
        assert!(text.contains("\nssh_deletekeys: true\n") && text.contains("\nssh_genkeytypes: [ed25519]\n"));
        assert_eq!(
            text.matches("PRIVATE KEY").count(),
            2,
            "one private key, the boot host's"
        );
        // However its lines end.
        let windows = PRIVATE.replace('\n', "\r\n");
        let again = user_data(&Boot {
            host_private: &windows,
            ..boot()
        });
        assert_eq!(again, text);
        assert!(!text.contains('\r') && !text.contains('\t'));
    }

    #[test]
    fn the_login_key_is_there_unless_the_user_has_one() {
        let text = user_data(&boot());
        let line = r#"  - "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIlogin it's \"mine\"""#;
        assert!(text.contains(&format!("\nssh_authorized_keys:\n{line}\n")), "{text}");
        let without = user_data(&Boot {
            login_public: None,
            ..boot()
        });
        assert!(!without.contains("ssh_authorized_keys"));
        // A line break cannot begin a setting of its own.
        let sly = user_data(&Boot {
            login_public: Some("ssh-ed25519 A\nruncmd: [reboot]"),
            ..boot()
        });
        assert!(!sly.contains("\nruncmd"));
    }

    #[test]
    fn no_packages_are_fetched_at_boot() {
        let text = user_data(&boot());
        assert!(text.contains("\npackage_update: false\npackage_upgrade: false\n"));
        assert!(text.contains("systemctl mask --runtime $unit.timer"));
    }

    #[test]
    fn the_timer_is_written_whole_and_started_at_each_boot() {
        let text = user_data(&boot());
        let script = block(&text, "bootcmd:", 2);
        let script = script.strip_prefix("- |\n").unwrap();
        assert!(
            script.contains(
                &TTL.lines()
                    .map(|l| if l.is_empty() { "\n".into() } else { format!("  {l}\n") })
                    .collect::<String>()
            )
        );
        assert!(
            script.contains("  sh /var/lib/swarm/ttl start 1900000000 7200\n"),
            "{script}"
        );
        assert!(!TTL.lines().any(|line| line == END) && TTL.ends_with('\n'));
        let past = user_data(&Boot { until_s: -5, ..boot() });
        assert!(past.contains("ttl start 0 7200\n"));
    }

    #[test]
    fn half_of_what_ec2_takes_is_left() {
        assert!(user_data(&boot()).len() < LIMIT / 2, "{}", user_data(&boot()).len());
    }
}
