//! Owns: the proof that the lab's EC2 keeps EC2's rules, and that faults, lost answers and kill points are what they
//! are called, by boto3. Runs no swarm.

use crate::boto::{self, script};
use crate::cloud::{Cloud, Killed};
use crate::cloud_proxy::When;
use crate::fault::Fault;
use crate::lab::Lab;
use crate::{Result, ensure};
use std::time::Duration;

pub const CASES: &[super::Case] = &[
    ("cloud::rules_of_ec2_hold", rules_hold),
    ("cloud::what_exists_is_read_back", read_back),
    ("cloud::states_come_late", states_come_late),
    ("cloud::faults_are_answered", faults),
    ("cloud::a_caller_can_be_killed_at_a_call", killed_at),
];

fn rules_hold(lab: &Lab) -> Result {
    let cloud = Cloud::start(lab)?;
    cloud.moto.capacity(&[("us-east-1b", 2), ("us-east-1c", 0)])?;
    let said = script(
        &cloud,
        r"
g = group()
same = asked(2, [g], ClientToken='t')
a, b = [sorted(i['InstanceId'] for i in ec2.run_instances(**same)['Instances']) for _ in 'ab']
print(a == b, len(instances()))
print(code(lambda: ec2.run_instances(**dict(same, MaxCount=3))))
print(code(lambda: ec2.run_instances(**dict(same, DryRun=True))), code(lambda: ec2.run_instances(**dict(same, ImageId='ami-0', DryRun=True))))
print(code(lambda: ec2.run_instances(**dict(same, ImageId=image('arm64'), ClientToken='u'))))
print(code(lambda: ec2.delete_security_group(GroupId=g)))
print(len(launch(1, [g], zone='us-east-1b', MaxCount=5)), code(lambda: launch(1, [g], zone='us-east-1b')), code(lambda: launch(1, [g], zone='us-east-1c')))
print(code(lambda: launch(1, [g], zone='us-east-1e', InstanceType='t3.micro')), code(lambda: launch(1, [g], secondary=2)))
i = instances(InstanceIds=launch(1, [g], secondary=1))[0]
print(len(i['NetworkInterfaces'][0]['PrivateIpAddresses']), i['SecurityGroups'][0]['GroupId'] == g)
print(code(lambda: client('xx-nowhere-1').describe_vpcs()), code(lambda: client('me-south-1').describe_vpcs()))
print(len(ec2.describe_regions()['Regions']), len(ec2.describe_regions(AllRegions=True)['Regions']))
print(code(lambda: ec2.create_tags(Resources=['i-0123456789abcdef0'], Tags=[{'Key': 'a', 'Value': 'b'}])))
",
    )?;
    let expected = "True 2\nIdempotentParameterMismatch\nDryRunOperation InvalidAMIID.NotFound\nInvalidParameterValue\nDependencyViolation\n\
                    2 InsufficientInstanceCapacity InsufficientInstanceCapacity\nUnsupported PrivateIpAddressLimitExceeded\n2 True\n\
                    ConnectionClosedError AuthFailure\n20 34\nInvalidInstanceID.NotFound";
    ensure!(said == expected, "{said}\nis not\n{expected}");
    cloud.moto.no_default_vpc(&["us-east-1"])?;
    let said = script(
        &cloud,
        "print(ec2.describe_vpcs(Filters=[{'Name': 'is-default', 'Values': ['true']}])['Vpcs'])",
    )?;
    ensure!(said == "[]", "{said}");
    ensure!(cloud.proxy.count("RunInstances") == 12, "{:?}", cloud.proxy.counts());
    Ok(())
}

/// Every field that a case may look at.
fn read_back(lab: &Lab) -> Result {
    let cloud = Cloud::start(lab)?;
    let said = script(
        &cloud,
        r"
tags = lambda kind: [{'ResourceType': kind, 'Tags': [{'Key': 'swarm:fleet', 'Value': 'x'}]}]
g = group()
ec2.create_tags(Resources=[g], Tags=[{'Key': 'swarm:fleet', 'Value': 'x'}])
i = launch(1, [g], 'text', 'us-east-1b', 1, ClientToken='t', TagSpecifications=tags('instance'), InstanceMarketOptions={'MarketType': 'spot'},
    MetadataOptions={'HttpTokens': 'required', 'HttpPutResponseHopLimit': 1})[0]
[instances() for _ in 'abc']
a = ec2.allocate_address(Domain='vpc', TagSpecifications=tags('elastic-ip'))
ec2.associate_address(AllocationId=a['AllocationId'], InstanceId=i)
ec2.create_key_pair(KeyName='k', KeyType='ed25519')
print(i, g, image(), a['PublicIp'])
",
    )?;
    let words: Vec<&str> = said.split(' ').collect();
    let [id, group, image, elastic] = words[..] else {
        return Err(said.into());
    };
    let state = cloud.moto.state()?;
    let i = &state.instances[0];
    ensure!(
        i.id == id && i.region == "us-east-1" && i.zone == "us-east-1b" && i.state == "running" && i.spot,
        "{i:?}"
    );
    ensure!(
        i.instance_type == "t2.micro" && i.image == image && i.user_data == "text" && i.groups == [group],
        "{i:?}"
    );
    ensure!(
        i.token.as_deref() == Some("t") && i.on_shutdown == "terminate" && i.imds_tokens == "required",
        "{i:?}"
    );
    ensure!(
        i.imds_hops == 1 && i.tags["swarm:fleet"] == "x" && i.private.len() == 2,
        "{i:?}"
    );
    ensure!(
        i.subnet.is_some() && i.public.map(|p| p.to_string()).as_deref() == Some(elastic),
        "{i:?}"
    );
    ensure!(i.elastic.keys().eq([&i.private[0]]), "{i:?}");
    let g = &state.groups[0];
    ensure!(
        g.id == group && g.tags["swarm:fleet"] == "x" && g.ingress.len() == 1,
        "{g:?}"
    );
    ensure!(g.ingress[0].cidr.as_deref() == Some("10.77.0.0/24"), "{g:?}");
    let a = &state.addresses[0];
    ensure!(
        a.private == Some(i.private[0]) && a.instance.as_deref() == Some(id) && a.tags["swarm:fleet"] == "x",
        "{a:?}"
    );
    let left = cloud.moto.left_behind()?;
    ensure!(
        left.len() == 4,
        "an instance, a group, an address, a key pair: {left:?}"
    );
    Ok(())
}

fn states_come_late(lab: &Lab) -> Result {
    let cloud = Cloud::start(lab)?;
    cloud.moto.invisible(1)?;
    let said = script(
        &cloud,
        r"
g = group()
i = launch(1, [g])
print(code(lambda: instances(InstanceIds=i)), *[[(x['State']['Name'], 'PublicIpAddress' in x) for x in instances()] for _ in 'abc'])
ec2.terminate_instances(InstanceIds=i)
print(*[[(x['State']['Name'], 'PublicIpAddress' in x) for x in instances()] for _ in 'abc'], code(lambda: ec2.delete_security_group(GroupId=g)))
",
    )?;
    let expected = "InvalidInstanceID.NotFound [('pending', True)] [('pending', True)] [('running', True)]\n\
                    [('shutting-down', False)] [('shutting-down', False)] [('terminated', False)] ok";
    ensure!(said == expected, "{said}\nis not\n{expected}");
    cloud.expect_nothing_left()?;
    cloud.reset()?;
    cloud.moto.pending(0)?;
    cloud.moto.shutting_down(0)?;
    let said = script(
        &cloud,
        "i = launch(1, [group()]); print(instances()[0]['State']['Name']); ec2.terminate_instances(InstanceIds=i); \
         print(instances()[0]['State']['Name'])",
    )?;
    ensure!(said == "running\nterminated", "{said}");
    cloud.reset()?;
    cloud.moto.never_running(1)?;
    cloud.machines.never_boot(1);
    let said = script(
        &cloud,
        "launch(2, [group()]); [instances() for _ in range(9)]; print(sorted(x['State']['Name'] for x in instances()))",
    )?;
    ensure!(said == "['pending', 'running']", "{said}");
    cloud.machines.wait_ready(1, Duration::from_secs(20))
}

fn faults(lab: &Lab) -> Result {
    let cloud = Cloud::start(lab)?;
    cloud.proxy.fault(Fault::throttled().of("DescribeVpcs").times(2));
    let said = script(
        &cloud,
        "print(*[code(ec2.describe_vpcs) for _ in 'abc'], code(ec2.describe_subnets))",
    )?;
    ensure!(said == "RequestLimitExceeded RequestLimitExceeded ok ok", "{said}");
    let calls: Vec<String> = cloud.proxy.calls().iter().map(ToString::to_string).collect();
    ensure!(
        calls.len() == 4 && calls[3] == "4: DescribeSubnets in us-east-1",
        "{calls:?}"
    );
    // Its answer is lost, it took effect, and the same token brings the same instances.
    cloud.proxy.fault(Fault::answer_lost().of("RunInstances").times(1));
    let said = script(
        &cloud,
        "s = asked(2, [group()], ClientToken='t'); print(code(lambda: ec2.run_instances(**s)), code(lambda: ec2.run_instances(**s)))",
    )?;
    ensure!(said == "ConnectionClosedError ok", "{said}");
    let alive = cloud.moto.alive()?;
    ensure!(alive.len() == 2, "{alive:?}");
    // One instance alone can't be ended.
    cloud.proxy.fault(
        Fault::error(500, "InternalError", "An internal error has occurred")
            .of("TerminateInstances")
            .with(&alive[0].id),
    );
    let said = script(
        &cloud,
        "print(*[code(lambda: ec2.terminate_instances(InstanceIds=[i['InstanceId']])) for i in sorted(instances(), key=lambda i: i['AmiLaunchIndex'])])",
    )?;
    ensure!(said == "InternalError ok", "{said}");
    // The rest of them, each once.
    cloud.proxy.reset();
    for fault in [
        Fault::no_capacity(),
        Fault::quota_too_low(),
        Fault::not_authorized(),
        Fault::bad_credentials(),
        Fault::dropped(),
    ] {
        cloud.proxy.fault(fault.in_region("eu-west-1").times(1));
    }
    let said = script(
        &cloud,
        "print(code(ec2.describe_vpcs), *[code(client('eu-west-1').describe_vpcs) for _ in range(6)])",
    )?;
    let expected = "ok InsufficientInstanceCapacity VcpuLimitExceeded UnauthorizedOperation AuthFailure \
                    ConnectionClosedError ok";
    ensure!(said == expected, "{said}");
    // Credentials that run out in the middle.
    cloud.proxy.reset();
    cloud.proxy.fault(Fault::expired().starting_at(2));
    let said = script(
        &cloud,
        "print(code(ec2.describe_vpcs), code(ec2.describe_vpcs), code(boto3.client('sts').get_caller_identity))",
    )?;
    ensure!(said == "ok RequestExpired RequestExpired", "{said}");
    Ok(())
}

fn killed_at(lab: &Lab) -> Result {
    let cloud = Cloud::start(lab)?;
    for (number, when, groups) in [
        (1, When::After, 0),
        (2, When::Before, 0),
        (2, When::After, 1),
        (3, When::Before, 1),
    ] {
        let mut client = boto::command(&cloud, "group(open_to=None)");
        let (wanted, said) = match cloud.kill_at(number, when, &mut client)? {
            Killed::At(call) => (
                call.action == ["DescribeVpcs", "CreateSecurityGroup"][number - 1],
                call.to_string(),
            ),
            Killed::Ended(finished) => (number == 3 && finished.status.success(), finished.stderr),
        };
        ensure!(wanted, "killed {when:?} call {number}: {said}");
        let made = cloud.moto.state()?.groups.len();
        ensure!(made == groups, "{made} groups after a kill {when:?} call {number}");
        cloud.reset()?;
    }
    Ok(())
}
