//! The user data against the real cloud-init: its schema, its YAML, and the script that it makes of `bootcmd`. Must not:
//! let cloud-init run on this machine.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};
use swarm::fleet::user_data::{Boot, FOLDER, user_data};
use tempfile::TempDir;

/// What cloud-init makes of the user data: the host key and the login keys, or the script of `bootcmd`.
const READ: &str = "
import sys, yaml
from cloudinit.util import shellify
told = yaml.safe_load(open(sys.argv[1]))
keys = told['ssh_keys']
for name, text in (('host', keys['ed25519_private']), ('host.pub', keys['ed25519_public']),
                   ('login.pub', '\\n'.join(told.get('ssh_authorized_keys', []))), ('boot', shellify(told['bootcmd']))):
    open(sys.argv[2] + '/' + name, 'w').write(text)
";

struct Keys {
    host: String,
    host_public: String,
    login_public: String,
}

fn keys(folder: &Path) -> Keys {
    let made = |name: &str| {
        let file = folder.join(name);
        let ssh_keygen = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-f"])
            .arg(&file)
            .status();
        assert!(ssh_keygen.unwrap().success());
        let read = |file: &Path| fs::read_to_string(file).unwrap();
        (read(&file), read(&file.with_extension("pub")))
    };
    let ((host, host_public), (_, login_public)) = (made("boot"), made("login"));
    Keys {
        host,
        host_public,
        login_public,
    }
}

fn folder() -> TempDir {
    tempfile::Builder::new().prefix("swarm-test-").tempdir().unwrap()
}

/// Python with cloud-init's modules, both as tests/setup left them.
fn python() -> Command {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
    let mut python = Command::new(target.join("moto/bin/python"));
    python.env("PYTHONPATH", target.join("cloud-init/usr/lib/python3/dist-packages"));
    python
}

fn done(output: Output) -> String {
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    said
}

#[test]
fn the_user_data_is_what_cloud_init_expects() {
    let folder = folder();
    let keys = keys(folder.path());
    for login_public in [Some(keys.login_public.as_str()), None] {
        let text = user_data(&Boot {
            host_private: &keys.host,
            host_public: &keys.host_public,
            login_public,
            until_s: 1_900_000_000,
            ttl_s: 7200,
        });
        let file = folder.path().join("user-data");
        fs::write(&file, text).unwrap();
        let schema = python()
            .args(["-m", "cloudinit.cmd.main", "schema", "--config-file"])
            .arg(&file)
            .output()
            .expect("this test needs cloud-init: tests/setup fetches it");
        let said = done(schema);
        assert!(said.contains("Valid"), "{said}");
        let read = folder.path().join("read");
        fs::create_dir_all(&read).unwrap();
        done(python().args(["-c", READ]).args([&file, &read]).output().unwrap());
        let is = |name: &str| fs::read_to_string(read.join(name)).unwrap();
        assert!(is("host") == keys.host, "the private key is not the one that was given");
        assert_eq!(is("host.pub"), keys.host_public.trim());
        assert_eq!(is("login.pub"), login_public.unwrap_or_default().trim());
    }
}

#[test]
fn the_script_of_bootcmd_writes_the_timer_down_and_starts_it() {
    let folder = folder();
    let keys = keys(folder.path());
    let text = user_data(&Boot {
        host_private: &keys.host,
        host_public: &keys.host_public,
        login_public: None,
        until_s: 4_000_000_000,
        ttl_s: 7200,
    });
    let (file, home, bin) = (
        folder.path().join("user-data"),
        folder.path().join("swarm"),
        folder.path().join("bin"),
    );
    // The only change: its folder. And what it starts at the end is a shell that only writes down its arguments.
    fs::write(&file, text.replace(FOLDER, &home.display().to_string())).unwrap();
    fs::create_dir(&bin).unwrap();
    for (name, script) in [
        ("sh", format!("echo \"sh $*\" >>{}/started", folder.path().display())),
        (
            "systemctl",
            format!("echo \"systemctl $*\" >>{}/started", folder.path().display()),
        ),
    ] {
        fs::write(bin.join(name), format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(bin.join(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let read = folder.path().join("read");
    fs::create_dir(&read).unwrap();
    done(python().args(["-c", READ]).args([&file, &read]).output().unwrap());
    for boot in 1..=2 {
        done(
            Command::new("/bin/sh")
                .arg(read.join("boot"))
                .env("PATH", format!("{}:/usr/bin:/bin", bin.display()))
                .output()
                .unwrap(),
        );
        let timer = home.join("ttl");
        assert_eq!(
            fs::read_to_string(&timer).unwrap(),
            fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/fleet/ttl.sh")).unwrap(),
            "boot {boot}"
        );
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&home), mode(&timer)), (0o700, 0o700));
        let started = fs::read_to_string(folder.path().join("started")).unwrap();
        let start = format!("sh {} start 4000000000 7200\n", timer.display());
        assert_eq!(started.matches(&start).count(), boot, "{started}");
        assert!(
            started.contains("systemctl mask --runtime apt-daily.timer apt-daily.service\n"),
            "{started}"
        );
    }
}
