//! Owns: the proof that the lab's cloud is what the other cases take it for, by boto3 and plain ssh. Runs no swarm.

use crate::boto::script;
use crate::cloud::{Cloud, Killed, check_schema};
use crate::cloud_proxy::When;
use crate::lab::Lab;
use crate::machine::Machine;
use crate::moto::PUBLIC_NETWORKS;
use crate::process::{self, run, wait_until};
use crate::{Result, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

pub const CASES: &[super::Case] = &[
    ("cloud::instances_boot_as_machines", instances_boot),
    ("cloud::a_machine_that_shuts_down_is_terminated", shuts_down),
    ("cloud::elastic_addresses_lead_to_machines", elastic),
    ("cloud::nothing_can_be_sent_to_made_up_addresses", nothing_leaves),
    ("cloud::schema_check_refuses_bad_user_data", schema),
    ("cloud::fifty_machines_boot", fifty),
];

/// Two key pairs (login, host) and user data with them.
struct Given {
    login: PathBuf,
    host_public: String,
    user_data: String,
}

fn given(folder: &Path, more: &str) -> Result<Given> {
    let key = |name: &str| -> Result<PathBuf> {
        let path = folder.join(name);
        run(Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"])
            .arg(&path))?;
        Ok(path)
    };
    let (login, host) = (key("login")?, key("host")?);
    let public = |path: &Path| std::fs::read_to_string(path.with_extension("pub")).map(|t| t.trim().to_owned());
    let host_public = public(&host)?;
    let private = std::fs::read_to_string(&host)?.replace('\n', "\n    ");
    let user_data = format!(
        "#cloud-config\ndisable_root: false\nssh_authorized_keys:\n  - {}\nssh_keys:\n  ed25519_private: |\n    {}\n  \
         ed25519_public: {host_public}\n{more}",
        public(&login)?,
        private.trim_end()
    );
    Ok(Given {
        login,
        host_public,
        user_data,
    })
}

/// ssh as a user of the cloud would call it: the host key must be the one of the user data.
fn ssh(cloud: &Cloud, given: &Given, user: &str, public: &str, line: &str) -> Result<Command> {
    let known = cloud.config.with_file_name("known");
    std::fs::write(&known, format!("* {}\n", given.host_public))?;
    let mut command = cloud.command("ssh");
    command.arg("-F").arg(&cloud.config).arg("-i").arg(&given.login);
    command.args([
        "-o",
        "BatchMode=yes",
        "-o",
        "IdentitiesOnly=yes",
        "-o",
        "StrictHostKeyChecking=yes",
    ]);
    command.args(["-o", &format!("UserKnownHostsFile={}", known.display())]);
    command.args([&format!("{user}@{public}"), line]);
    Ok(command)
}

/// Launches with this user data, waits for the machines, and gives them with their public addresses.
fn launched(cloud: &Cloud, given: &Given, count: usize, more: &str) -> Result<Vec<(Machine, String)>> {
    let file = cloud.config.with_file_name("given");
    std::fs::write(&file, &given.user_data)?;
    script(
        cloud,
        &format!(
            "ids = launch({count}, [group()], open({:?}).read(){more}); instances()",
            file.display()
        ),
    )?;
    cloud.machines.wait_ready(count, Duration::from_secs(60))?;
    let instances = cloud.moto.alive()?;
    instances
        .into_iter()
        .map(|i| {
            let public = i.public.ok_or("no public address")?;
            Ok((cloud.machines.of(&i.id)?, public.to_string()))
        })
        .collect()
}

fn instances_boot(lab: &Lab) -> Result {
    let cloud = Cloud::start(lab)?;
    let more = "bootcmd:\n  - echo one > /etc/swarm-lab-boot\n  - [sh, -c, 'echo \"$INSTANCE_ID two\" >> /etc/swarm-lab-boot']\n\
                write_files:\n  - path: /usr/local/bin/hello\n    permissions: '0755'\n    content: |\n      #!/bin/sh\n      cat /etc/swarm-lab-boot\n\
                runcmd:\n  - touch /run/late\n";
    let given = given(&cloud.seat("keys")?.home, more)?;
    check_schema(&given.user_data, &cloud.seat("keys")?.home)?;
    let began = Instant::now();
    let machines = launched(&cloud, &given, 2, "")?;
    eprintln!(
        "two machines took {:.1} s from the launch",
        began.elapsed().as_secs_f64()
    );
    for (machine, public) in &machines {
        let said = run(&mut ssh(
            &cloud,
            &given,
            "ec2-user",
            public,
            "hello; id -un; sudo -n id -un; touch ~/mine /tmp/mine; hostname",
        )?)?;
        let expected = format!("one\n{} two\nec2-user\nroot\nip-172-31-", machine.instance);
        ensure!(said.starts_with(&expected), "{said:?} is not {expected:?}");
        ensure!(
            machine.path("/home/ec2-user/mine").exists(),
            "its home is not seen from here"
        );
        let said = run(&mut ssh(
            &cloud,
            &given,
            "root",
            public,
            "ls /etc/ssh; ip -br -4 addr show eth0; cat /proc/1/comm",
        )?)?;
        ensure!(
            said.contains("ssh_host_ed25519_key\n") && !said.contains("rsa"),
            "{said}"
        );
        ensure!(said.contains("172.31.") && said.trim().ends_with("sshd"), "{said}");
        wait_until("runcmd", Duration::from_secs(5), || {
            Ok(machine.path("/run/late").exists())
        })?;
    }
    ensure!(
        !Path::new("/etc/swarm-lab-boot").exists() && !Path::new("/tmp/mine").exists(),
        "a machine wrote into this one"
    );
    // sshd takes a new key when it is told to, and the old one is of no use any more.
    let (machine, public) = &machines[0];
    machine.inside("rm /etc/ssh/ssh_host_*; ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key; systemctl reload sshd")?;
    wait_until("the host key to change", Duration::from_secs(5), || {
        let refused =
            process::start(&mut ssh(&cloud, &given, "root", public, "true")?)?.wait(Duration::from_secs(10))?;
        Ok(refused.stderr.contains("Host key verification failed"))
    })?;
    // Without the rule, no way in.
    let (_, public) = &machines[1];
    script(
        &cloud,
        "g = ec2.describe_security_groups(GroupNames=['g'])['SecurityGroups'][0]\nec2.revoke_security_group_ingress(GroupId=g['GroupId'], IpPermissions=g['IpPermissions'])",
    )?;
    wait_until("SSH to be closed", Duration::from_secs(5), || {
        let refused =
            process::start(&mut ssh(&cloud, &given, "root", public, "true")?)?.wait(Duration::from_secs(10))?;
        Ok(refused.status.code() == Some(255) && refused.stderr.contains("Connection refused"))
    })?;
    script(
        &cloud,
        "ec2.terminate_instances(InstanceIds=[i['InstanceId'] for i in instances()])",
    )?;
    cloud.machines.wait_gone(Duration::from_secs(10))?;
    script(
        &cloud,
        "instances(); instances(); instances(); ec2.delete_security_group(GroupName='g')",
    )?;
    cloud.expect_nothing_left()
}

fn shuts_down(lab: &Lab) -> Result {
    let cloud = Cloud::start(lab)?;
    let given = given(&cloud.seat("keys")?.home, "bootcmd:\n  - shutdown -P +120\n")?;
    let machines = launched(&cloud, &given, 3, "")?;
    let (first, public) = &machines[0];
    let said = run(&mut ssh(
        &cloud,
        &given,
        "ec2-user",
        public,
        "shutdown now || sudo shutdown --show",
    )?)?;
    ensure!(said.contains("MODE=poweroff"), "{said}");
    let calls = first.shutdowns()?;
    ensure!(
        calls.len() == 1 && calls[0].command == "shutdown" && calls[0].time == "+120" && calls[0].words == "-P +120",
        "{calls:?}"
    );
    // At once, by a login session that it takes along.
    let _ = process::start(&mut ssh(&cloud, &given, "ec2-user", public, "sudo poweroff; sleep 60")?)?
        .wait(Duration::from_secs(20))?;
    let state = |id: &str| -> Result<String> {
        let found = cloud.moto.state()?.instances.into_iter().find(|i| i.id == id);
        Ok(found.ok_or("no such instance")?.state)
    };
    wait_until("the instance to be ended", Duration::from_secs(5), || {
        Ok(state(&first.instance)? == "shutting-down")
    })?;
    ensure!(
        first.shutdowns()?.len() == 2 && first.processes().is_empty(),
        "{:?} {:?}",
        first.shutdowns(),
        first.processes()
    );
    // The third one thinks better of it; the second one's time comes, its minutes are short.
    machines[2].0.inside("shutdown -c")?;
    cloud.machines.minute(Duration::from_millis(10));
    machines[1].0.inside("shutdown -P +20")?;
    wait_until("the second to go", Duration::from_secs(5), || {
        Ok(state(&machines[1].0.instance)? == "shutting-down")
    })?;
    ensure!(state(&machines[2].0.instance)? == "pending", "the third went too");
    // Nothing answers where the first one was.
    let refused = process::start(&mut ssh(&cloud, &given, "root", public, "true")?)?.wait(Duration::from_secs(10))?;
    ensure!(refused.stderr.contains("Connection refused"), "{}", refused.stderr);
    ensure!(cloud.moto.left_behind()?.len() == 4, "{:?}", cloud.moto.left_behind()?);
    Ok(())
}

fn elastic(lab: &Lab) -> Result {
    let cloud = Cloud::start(lab)?;
    let given = given(&cloud.seat("keys")?.home, "")?;
    let machines = launched(&cloud, &given, 1, ", secondary=1")?;
    let said = script(
        &cloud,
        r"
instances(); instances()
i = instances()[0]
nic = i['NetworkInterfaces'][0]
second = nic['PrivateIpAddresses'][1]['PrivateIpAddress']
a = ec2.allocate_address(Domain='vpc', TagSpecifications=[{'ResourceType': 'elastic-ip', 'Tags': [{'Key': 'swarm:fleet', 'Value': 'x'}]}])
ec2.associate_address(AllocationId=a['AllocationId'], NetworkInterfaceId=nic['NetworkInterfaceId'], PrivateIpAddress=second)
now = instances()[0]
assert now['PublicIpAddress'] == i['PublicIpAddress']
assert now['NetworkInterfaces'][0]['PrivateIpAddresses'][1]['Association']['PublicIp'] == a['PublicIp']
assert code(lambda: ec2.release_address(AllocationId=a['AllocationId'])) == 'InvalidIPAddress.InUse'
assert [code(lambda: ec2.allocate_address(Domain='vpc')) for _ in range(5)] == ['ok'] * 4 + ['AddressLimitExceeded']
print(a['PublicIp'], second)
",
    )?;
    let (public, private) = said.split_once(' ').ok_or("no two addresses")?;
    wait_until("the address to lead to the machine", Duration::from_secs(5), || {
        Ok(std::fs::read_to_string(&cloud.machines.map)?.contains(public))
    })?;
    // What swarm does with a secondary address, then a request from it.
    let target = super::url("http", super::STICKY, "/");
    let line = format!(
        "sudo ip addr add {private}/32 dev eth0 && curl -sS -o /dev/null --interface {private} {target} && echo reached"
    );
    let said = run(&mut ssh(&cloud, &given, "ec2-user", public, &line)?)?;
    ensure!(said.trim() == "reached", "{said}");
    let matrix = lab.servers.matrix("http")?;
    ensure!(matrix.contains_key(private), "the servers saw {matrix:?}");
    script(
        &cloud,
        "ec2.terminate_instances(InstanceIds=[i['InstanceId'] for i in instances()])\n[ec2.release_address(AllocationId=a['AllocationId']) for a in ec2.describe_addresses()['Addresses']]\ninstances(); instances(); instances(); ec2.delete_security_group(GroupName='g')",
    )?;
    drop(machines);
    cloud.expect_nothing_left()
}

/// Neither from this machine nor from where swarm runs.
fn nothing_leaves(lab: &Lab) -> Result {
    let cloud = Cloud::start(lab)?;
    let try_all = r"
import socket, errno
out = []
for host in ['198.18.2.3', '198.19.254.9', '54.214.0.1', '54.214.254.254'] + EXTRA:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        s = socket.socket(socket.AF_INET, kind)
        s.settimeout(3)
        try: s.connect((host, 22)); out.append(host + ' connected')
        except OSError as e: out.append(host + ' ' + errno.errorcode.get(e.errno, str(e)))
print(set(o.split()[1] for o in out), out)
";
    let said = run(Command::new(crate::moto::python()).args(["-c", &try_all.replace("EXTRA", "[]")]))?;
    ensure!(said.starts_with("{'EHOSTUNREACH'}"), "this machine: {said}");
    let said = script(
        &cloud,
        &try_all.replace("EXTRA", "['54.1.2.3', '1.1.1.1', '8.8.8.8', '172.31.0.4']"),
    )?;
    ensure!(said.starts_with("{'ENETUNREACH'}"), "the controller: {said}");
    let routes = run(&mut {
        let mut command = cloud.command("ip");
        command.args(["-4", "route", "show"]);
        command
    })?;
    ensure!(
        routes.lines().count() == 1 && routes.starts_with("10.77.0.0/24 "),
        "the controller's routes: {routes}"
    );
    // And swarm itself runs there, from a home of its own.
    let seat = cloud.seat("first")?.env("TZ", "UTC");
    let Killed::Ended(finished) = seat.kill_at(1, When::Before, "--version")? else {
        return Err("swarm --version calls AWS".into());
    };
    ensure!(finished.stdout.starts_with("swarm "), "{}", finished.stdout);
    let finished = cloud.swarm("attack --local http://198.18.2.3/ -n 1 --yes")?;
    ensure!(!finished.status.success(), "{}{}", finished.stdout, finished.stderr);
    for network in PUBLIC_NETWORKS {
        let route = process::words(&format!("ip -4 route show root {network}"))?;
        ensure!(route.starts_with("unreachable"), "{network}: {route}");
    }
    Ok(())
}

fn schema(lab: &Lab) -> Result {
    check_schema("#cloud-config\nbootcmd:\n  - [ls]\n", &lab.folder)?;
    for bad in [
        "#cloud-config\nbootcmd: 5\n",
        "#cloud-config\nssh_authorized_keys: {a: b}\n",
        "bootcmd: [ls]\n",
    ] {
        ensure!(check_schema(bad, &lab.folder).is_err(), "the schema took {bad:?}");
    }
    Ok(())
}

fn fifty(lab: &Lab) -> Result {
    let cloud = Cloud::start(lab)?;
    let given = given(&cloud.seat("keys")?.home, "bootcmd:\n  - shutdown -P +120\n")?;
    let began = Instant::now();
    let machines = launched(&cloud, &given, 50, "")?;
    eprintln!(
        "fifty machines took {:.1} s from the launch",
        began.elapsed().as_secs_f64()
    );
    for (_, public) in [&machines[0], &machines[49]] {
        run(&mut ssh(&cloud, &given, "root", public, "true")?)?;
    }
    let began = Instant::now();
    script(
        &cloud,
        "ec2.terminate_instances(InstanceIds=[i['InstanceId'] for i in instances()])",
    )?;
    cloud.machines.wait_gone(Duration::from_secs(30))?;
    eprintln!("and {:.1} s to go", began.elapsed().as_secs_f64());
    Ok(())
}
