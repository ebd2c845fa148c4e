# Owns: moto as the EC2 of the lab, with the rules of EC2 that moto lacks, and what the lab asks of it under /lab.
# Must not: answer in moto's stead (the API is moto's), or make faults (the proxy in front does).
# Run as: python ec2.py PORT. Every patch names what EC2 does and moto does not.
import base64
import copy
import functools
import gzip
import itertools
import json
import os
import re
import sys
import threading
import traceback
from urllib.parse import parse_qs

os.environ["MOTO_PORT"] = sys.argv[1]

import yaml
from moto.core.responses import ActionResult
from moto.ec2 import utils
from moto.ec2.exceptions import EC2ClientError, InvalidInstanceIdError
from moto.ec2.models import EC2Backend, ec2_backends, elastic_ip_addresses, elastic_network_interfaces
from moto.ec2.models.elastic_ip_addresses import ElasticAddress
from moto.ec2.models.elastic_network_interfaces import NetworkInterface
from moto.ec2.models.instance_types import INSTANCE_TYPE_OFFERINGS
from moto.ec2.models.instances import Instance, InstanceState
from moto.ec2.responses.availability_zones_and_regions import AvailabilityZonesAndRegions
from moto.ec2.responses.elastic_ip_addresses import ElasticIPAddresses
from moto.ec2.responses.instances import InstanceResponse
from moto.ec2.responses.tags import TagResponse
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import run_simple

ACCOUNT = "123456789012"

# What a test may set, until the next reset. Numbers of DescribeInstances are counted per region.
DEFAULTS = {
    "pending": 2,  # answers in which a new instance is still pending
    "shutting_down": 2,  # answers in which a terminated one is still shutting down
    "invisible": 0,  # answers in which a new instance does not exist yet
    "never_running": 0,  # how many of the next instances stay pending for ever
    "capacity": {},  # zone: instances it still has room for
    "no_default_vpc": [],  # regions
}
rules = copy.deepcopy(DEFAULTS)
launches = {}  # (region, client token): (parameters, reservation)


def patch(owner, name):
    original = getattr(owner, name)

    def put(function):
        @functools.wraps(original)
        def wrapper(*args, **kwargs):
            return function(original, *args, **kwargs)

        setattr(owner, name, wrapper)

    return put


def regions():
    account = ec2_backends[ACCOUNT]
    return [account[name] for name in list(account.keys())]


# Addresses out of 198.18.0.0/15 (RFC 2544, never routed on the Internet), no two alike. moto's own exist in the real
# world (54.214.0.0/16) or are loopback (Elastic IPs), and are drawn at random: two may be the same.
numbers = {18: itertools.count(300), 19: itertools.count(300)}


def unused(second):
    n = next(numbers[second])
    return f"198.{second}.{n // 254 % 254 + 1}.{n % 254 + 1}"


elastic_network_interfaces.random_public_ip = lambda: unused(18)
elastic_ip_addresses.random_ip = lambda: unused(19)
utils.filter_dict_attribute_mapping.update({"client-token": "client_token", "instance-lifecycle": "lifecycle"})


# --- regions -----------------------------------------------------------------------------------------------------
def usual(region):
    return region.opt_in_status == "opt-in-not-required" and not region.name.startswith(("cn-", "us-gov-"))


@patch(AvailabilityZonesAndRegions, "describe_regions")
def describe_regions(original, self):
    known = {region.name: region for region in EC2Backend.regions}
    for name in self._get_param("RegionNames", []):
        if name not in known:
            raise EC2ClientError("InvalidParameterValue", f"Invalid region names: {name}")
    found = original(self).result["Regions"]
    everything = self._get_param("AllRegions", False)
    found = [r for r in found if usual(r) or (everything and r.opt_in_status == "not-opted-in")]
    return ActionResult({"Regions": found})


@patch(EC2Backend, "get_default_vpc")
def get_default_vpc(original, self):
    return None if self.region_name in rules["no_default_vpc"] else original(self)


def drop_default_vpc():
    for name in rules["no_default_vpc"]:
        for vpc in ec2_backends[ACCOUNT][name].vpcs.values():
            vpc.is_default = False
        for zone in ec2_backends[ACCOUNT][name].subnets.values():
            for subnet in zone.values():
                subnet.default_for_az = False


# --- launching ---------------------------------------------------------------------------------------------------
def check_launch(self):
    """What EC2 refuses before anything else, also in a dry run; moto takes it all."""
    backend, name = self.ec2_backend, self._get_param("InstanceType", "m1.small")
    image = backend.describe_images(ami_ids=[self._get_param("ImageId")])[0]
    known = [t for t in backend.instance_types if t["InstanceType"] == name]
    if not known:
        raise EC2ClientError("InvalidParameterValue", f"Invalid value '{name}' for InstanceType.")
    if image.architecture not in known[0]["ProcessorInfo"]["SupportedArchitectures"]:
        raise EC2ClientError(
            "InvalidParameterValue",
            f"The architecture '{known[0]['ProcessorInfo']['SupportedArchitectures'][-1]}' of the specified instance type "
            f"does not match the architecture '{image.architecture}' of the specified AMI. Specify an instance type and an "
            "AMI that have matching architectures, and try again.",
        )
    nics = self._get_param("NetworkInterfaces", [])
    groups = list(self._get_param("SecurityGroupIds", []))
    subnet, zone = self._get_param("SubnetId"), self._get_param("Placement.AvailabilityZone")
    for nic in nics:
        groups += nic.get("Groups", [])
        subnet = subnet or nic.get("SubnetId")
        extra = int(nic.get("SecondaryPrivateIpAddressCount") or 0)
        most = known[0]["NetworkInfo"]["Ipv4AddressesPerInterface"]
        if extra >= most:
            raise EC2ClientError(
                "PrivateIpAddressLimitExceeded",
                f"Number of private addresses will exceed limit: {extra + 1} of {most} for {name}.",
            )
    for group in groups:
        if not backend.get_security_group_from_id(group):
            raise EC2ClientError("InvalidGroup.NotFound", f"The security group '{group}' does not exist")
    if subnet:
        zone = backend.get_subnet(subnet).availability_zone
    elif backend.get_default_vpc() is None:
        raise EC2ClientError("VPCIdNotSpecified", "No default VPC for this user")
    zone = zone or backend.region_name + "a"
    offered = {o["InstanceType"] for o in INSTANCE_TYPE_OFFERINGS["availability-zone"][self.region] if o["Location"] == zone}
    if name not in offered:
        raise EC2ClientError(
            "Unsupported",
            f"Your requested instance type ({name}) is not supported in your requested Availability Zone ({zone}).",
        )
    return zone


@patch(InstanceResponse, "run_instances")
def run_instances(original, self):
    zone = check_launch(self)
    token = (self.region, self._get_param("ClientToken"))
    given = {key: value for key, value in self.data.items() if key not in ("Action", "Version")}
    if token[1] and token in launches and not self._get_param("DryRun", False):
        known, reservation = launches[token]
        if known != given:
            raise EC2ClientError(
                "IdempotentParameterMismatch",
                "Arguments on this idempotent request are inconsistent with arguments used in previous request(s).",
            )
        return ActionResult(reservation)
    least, most = int(self._get_param("MinCount", "1")), int(self._get_param("MaxCount", "1"))
    room = rules["capacity"].get(zone)
    if room is not None:
        if room < least and not self._get_param("DryRun", False):
            raise EC2ClientError(
                "InsufficientInstanceCapacity",
                f"We currently do not have sufficient {self._get_param('InstanceType')} capacity in the Availability Zone "
                f"you requested ({zone}).",
            )
        most = min(most, room)
    self.ec2_backend.lab_count, self.ec2_backend.lab_zone = most, zone
    result = original(self)
    if room is not None:
        rules["capacity"][zone] = room - most
    # As the reservation was: what describes do to its instances shows, what they filter does not.
    reservation = copy.copy(result.result)
    reservation.instances = list(result.result.instances)
    launches[token] = (given, reservation)
    return result


@patch(EC2Backend, "run_instances")
def launch(original, self, image_id, count, *args, **kwargs):
    # Without a subnet it is the zone's default one; moto has a "classic" network there.
    if not kwargs.get("subnet_id") and not any("SubnetId" in nic for nic in kwargs.get("nics") or []):
        subnet = self.get_default_subnets()[self.lab_zone].id
        if kwargs.get("nics"):
            kwargs["nics"][0]["SubnetId"] = subnet
        else:
            kwargs["subnet_id"] = subnet
    # moto makes MinCount of them.
    made = original(self, image_id, getattr(self, "lab_count", count), *args, **kwargs)
    for instance in made.instances:
        for nic in instance.nics.values():
            nic.add_tags(kwargs.get("tags", {}).get("network-interface", {}))
            # The public address comes a little later.
            instance.lab_public, nic.public_ip = nic.public_ip, None
        instance.lab_left, instance.lab_hidden = rules["pending"], rules["invisible"]
        instance.lab_never = rules["never_running"] > 0
        rules["never_running"] -= instance.lab_never
        instance._state = InstanceState("pending", 0)
    return made


@patch(Instance, "prep_nics")
def prep_nics(original, self, nic_spec, *args, **kwargs):
    original(self, nic_spec, *args, **kwargs)
    spec = {int(nic["DeviceIndex"]): nic for nic in nic_spec}
    for index, nic in self.nics.items():
        given = spec.get(index, {})
        # True is EC2's default for what a launch makes.
        nic.delete_on_termination = given.get("DeleteOnTermination") is not False
        extra = int(given.get("SecondaryPrivateIpAddressCount") or 0)
        own = [nic.subnet.get_available_subnet_ip(self) for _ in range(extra)]
        self.ec2_backend.assign_private_ip_addresses(nic.id, private_ip_addresses=own)
    # The groups of the first interface are the instance's.
    self.security_groups = self.security_groups or list(self.nics[0]._group_set)


# --- states ------------------------------------------------------------------------------------------------------
def advance(instance):
    """One DescribeInstances has passed."""
    state = instance._state.name
    if state not in ("pending", "shutting-down"):
        return
    if state == "pending" and getattr(instance, "lab_public", None):
        instance.nics[0].public_ip, instance.lab_public = instance.lab_public, None
    if instance.lab_left > 0 or getattr(instance, "lab_never", False) and state == "pending":
        instance.lab_left -= 1
    else:
        instance._state = InstanceState("running", 16) if state == "pending" else InstanceState("terminated", 48)


@patch(InstanceResponse, "describe_instances")
def describe_instances(original, self):
    backend = self.ec2_backend
    everything = list(backend.reservations.items())
    hidden = set()
    for key, reservation in everything:
        for instance in reservation.instances:
            if getattr(instance, "lab_hidden", 0) > 0:
                instance.lab_hidden -= 1
                hidden.add(key)
            else:
                advance(instance)
    for key in hidden:
        del backend.reservations[key]
    try:
        return original(self)
    finally:
        if hidden:
            backend.reservations.clear()
            backend.reservations.update(everything)


@patch(Instance, "terminate")
def terminate(original, self):
    if self._state.name in ("shutting-down", "terminated"):
        return copy.copy(self._state)
    previous = original(self)
    for address in self.ec2_backend.addresses:
        if address.instance is self or (address.eni and address.eni.instance is self):
            address.instance = address.eni = address.association_id = None
    for nic in self.nics.values():
        nic.public_ip = None
    self.lab_public, self.lab_left = None, rules["shutting_down"]
    self._state = InstanceState("shutting-down", 32)
    return previous


# --- groups, tags ------------------------------------------------------------------------------------------------
@patch(EC2Backend, "_delete_security_group")
def delete_security_group(original, self, vpc_id, group_id):
    users = [i.security_groups for i in self.all_instances() if i._state.name != "terminated"]
    users += [nic._group_set for nic in self.enis.values()]
    if any(group.id == group_id for groups in users for group in groups):
        raise EC2ClientError("DependencyViolation", f"resource {group_id} has a dependent object")
    return original(self, vpc_id, group_id)


@patch(TagResponse, "create_tags")
def create_tags(original, self):
    for resource in self._get_param("Resources", []):
        if resource.startswith("i-") and not self.ec2_backend.get_instance_by_id(resource):
            raise InvalidInstanceIdError(resource)
        if resource.startswith("sg-") and not self.ec2_backend.get_security_group_from_id(resource):
            raise EC2ClientError("InvalidGroup.NotFound", f"The security group '{resource}' does not exist")
    return original(self)


# --- Elastic IPs: five a region, one a private address, not released in use -----------------------------------------
@patch(EC2Backend, "allocate_address")
def allocate_address(original, self, *args, **kwargs):
    if len(self.addresses) >= 5:
        raise EC2ClientError("AddressLimitExceeded", "The maximum number of addresses has been reached.")
    return original(self, *args, **kwargs)


@patch(ElasticIPAddresses, "associate_address")
def associate_address(original, self):
    private, nic_id = self._get_param("PrivateIpAddress"), self._get_param("NetworkInterfaceId")
    backend = self.ec2_backend
    nic = backend.get_network_interface(nic_id) if nic_id else backend.get_instance(self._get_param("InstanceId")).nics[0]
    if nic.instance and nic.instance._state.name != "running":
        state = nic.instance._state.name
        raise EC2ClientError(
            "IncorrectInstanceState", f"The {state} instance '{nic.instance.id}' is not in a valid state for this operation."
        )
    if private is None or private == nic.private_ip_address:
        return original(self)
    if private not in [a["PrivateIpAddress"] for a in nic.private_ip_addresses]:
        raise EC2ClientError("InvalidParameterValue", f"Private address {private} is not assigned to {nic.id}")
    address = backend.address_by_allocation([self._get_param("AllocationId")])[0]
    if address.association_id and not self._get_param("AllowReassociation", False):
        raise EC2ClientError("Resource.AlreadyAssociated", f"resource {address.allocation_id} is already associated")
    self.error_on_dryrun()
    address.eni, address.lab_private = nic, private
    address.association_id = utils.random_eip_association_id()
    return ActionResult({"AssociationId": address.association_id})


@patch(EC2Backend, "disassociate_address")
def disassociate_address(original, self, address=None, association_id=None):
    found = self.address_by_ip([address]) if address else self.address_by_association([association_id])
    if getattr(found[0], "lab_private", None):
        found[0].eni = found[0].association_id = found[0].lab_private = None
    else:
        original(self, address, association_id)


@patch(EC2Backend, "release_address")
def release_address(original, self, address=None, allocation_id=None):
    found = self.address_by_ip([address]) if address else self.address_by_allocation([allocation_id])
    if found[0].association_id:
        raise EC2ClientError("InvalidIPAddress.InUse", f"Address {found[0].public_ip} is in use.")
    original(self, address, allocation_id)


def address_instance(self):
    instance = self.instance or (self.eni and self.eni.instance)
    return instance.id if instance else ""


ElasticAddress.instance_id = property(address_instance)
ElasticAddress.private_ip_address = property(
    lambda self: (getattr(self, "lab_private", None) or self.eni.private_ip_address) if self.eni else None
)
plain_addresses = NetworkInterface.instance_private_ip_address_list


def private_addresses(self):
    items = plain_addresses.fget(self)
    for address in self.ec2_backend.addresses:
        for item in items:
            if address.eni is self and item["PrivateIpAddress"] == getattr(address, "lab_private", None):
                item["Association"] = {"publicIp": address.public_ip, "ipOwnerId": ACCOUNT}
    return items


NetworkInterface.instance_private_ip_address_list = property(private_addresses)


# --- what the lab asks ---------------------------------------------------------------------------------------------
def tags_of(thing):
    return {tag["key"]: tag["value"] for tag in thing.get_tags()}


def text_of(instance):
    raw = base64.b64decode(str(instance.user_data or ""))
    return (gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw).decode()


def instance_row(backend, i):
    nic = i.nics[0]
    private = [a["PrivateIpAddress"] for a in nic.private_ip_addresses]
    alive = i._state.name in ("pending", "running")
    elastic = {a.private_ip_address: a.public_ip for a in backend.addresses if a.eni is nic}
    return {
        "id": i.id, "region": backend.region_name, "zone": i.placement.zone, "state": i._state.name,
        "instance_type": i.instance_type, "image": i.image_id, "spot": i.lifecycle == "spot",
        "public": nic.public_ip if alive else None, "private": private, "elastic": elastic if alive else {},
        "tags": tags_of(i), "user_data": text_of(i), "token": i.client_token,
        "groups": [g.id for g in i.security_groups], "subnet": i.subnet_id,
        "on_shutdown": i.instance_initiated_shutdown_behavior, "imds_tokens": i.metadata_options.http_tokens,
        "imds_hops": i.metadata_options.http_put_response_hop_limit,
    }


def group_row(backend, g):
    ingress = [
        {"from": r.from_port, "to": r.to_port, "cidr": r.ip_range.get("CidrIp") or r.ip_range.get("CidrIpv6")}
        for r in g.ingress_rules
    ]
    return {"id": g.id, "region": backend.region_name, "name": g.name, "tags": tags_of(g), "ingress": ingress}


def state():
    seen = {"instances": [], "groups": [], "addresses": [], "others": []}
    for backend in regions():
        region = backend.region_name
        seen["instances"] += [instance_row(backend, i) for i in backend.all_instances()]
        groups = [g for of_vpc in backend.groups.values() for g in of_vpc.values() if g.name != "default"]
        seen["groups"] += [group_row(backend, g) for g in groups]
        seen["addresses"] += [
            {"id": a.allocation_id, "region": region, "public": a.public_ip, "private": a.private_ip_address,
             "instance": a.instance_id or None, "tags": tags_of(a)}
            for a in backend.addresses
        ]
        others = {"key pair": backend.key_pairs.values(), "volume": backend.volumes.values(), "interface": backend.enis.values(),
                  "launch template": backend.launch_templates.values(), "spot request": backend.spot_instance_requests.values()}
        for kind, things in others.items():
            seen["others"] += [{"id": t.id, "region": region, "kind": kind} for t in things]
    return seen


def shell(commands):
    """As cloud-init turns bootcmd and runcmd into one script: no line's failure stops the next."""
    return "\n".join(c if isinstance(c, str) else " ".join("'" + str(w).replace("'", "'\\''") + "'" for w in c) for c in commands or [])


def boot(region, instance_id):
    """What cloud-init would make of the user data."""
    text = text_of(ec2_backends[ACCOUNT][region].get_instance(instance_id))
    config = (yaml.safe_load(text) or {}) if text.startswith("#cloud-config") else {}
    files = []
    for f in config.get("write_files") or []:
        content, encoding = f.get("content", ""), f.get("encoding", "")
        content = base64.b64decode(content) if encoding in ("b64", "base64") else str(content).encode()
        files.append({"path": f["path"], "mode": str(f.get("permissions", "0644")), "owner": f.get("owner", "root:root"),
                      "content": base64.b64encode(content).decode(), "append": bool(f.get("append", False))})
    return {"bootcmd": shell(config.get("bootcmd")), "runcmd": shell(config.get("runcmd")), "files": files,
            "ssh_keys": config.get("ssh_keys") or {}, "authorized": config.get("ssh_authorized_keys") or [],
            "disable_root": config.get("disable_root", True)}


def shut_down(region, instance_id):
    """The instance's own operating system has shut it down."""
    backend = ec2_backends[ACCOUNT][region]
    instance = backend.get_instance(instance_id)
    behavior = instance.instance_initiated_shutdown_behavior
    (backend.terminate_instances if behavior == "terminate" else backend.stop_instances)([instance_id])
    return {"did": behavior}


STATUS = {"InsufficientInstanceCapacity": "500 Internal Server Error", "DryRunOperation": "412 Precondition Failed"}


class Lab:
    def __init__(self, moto):
        self.moto, self.lock = moto, threading.RLock()

    def __call__(self, environ, start):
        path = environ["PATH_INFO"]
        with self.lock:
            if path.startswith("/lab/"):
                try:
                    answer, status = self.lab(path[5:], parse_qs(environ.get("QUERY_STRING", "")), environ), "200 OK"
                except Exception:
                    answer, status = traceback.format_exc(), "500 Internal Server Error"
                body = json.dumps(answer).encode()
                start(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
                return [body]
            scope = re.search(r"Credential=[^/]+/\d+/([^/]+)/", environ.get("HTTP_AUTHORIZATION", ""))
            region = next((r for r in EC2Backend.regions if scope and r.name == scope[1]), None)
            if scope and region is None:
                # No such host name in the real world: the proxy drops the connection.
                start("421 Misdirected Request", [("X-Lab-Drop", "yes"), ("Content-Length", "0")])
                return [b""]
            if region and not usual(region):
                body = error("AuthFailure", "AWS was not able to validate the provided access credentials")
                start("401 Unauthorized", [("Content-Type", "text/xml"), ("Content-Length", str(len(body)))])
                return [body]
            kept = []
            body = b"".join(self.moto(environ, lambda status, headers, _=None: kept.append((status, headers))))
            status, headers = kept[0]
            code = re.search(rb"<Code>([\w.]+)</Code>", body) if not status.startswith("2") else None
            start(STATUS.get(code[1].decode() if code else "", status), headers)
            return [body]

    def lab(self, what, query, environ):
        length = int(environ.get("CONTENT_LENGTH") or 0)
        given = json.loads(environ["wsgi.input"].read(length)) if length else {}
        if what == "state":
            return state()
        if what == "boot":
            return boot(query["region"][0], query["id"][0])
        if what == "shutdown":
            return shut_down(query["region"][0], query["id"][0])
        if what == "rules":
            # a region that moto has not met yet is made with its default VPC, which making it needs
            for name in given.get("no_default_vpc", []):
                ec2_backends[ACCOUNT][name]
            rules.update(given)
            drop_default_vpc()
            return rules
        if what == "reset":
            from moto.moto_api._internal.models import moto_api_backend

            launches.clear()
            rules.clear()
            rules.update(copy.deepcopy(DEFAULTS))
            moto_api_backend.reset()
            return {}
        raise KeyError(what)


def error(code, message):
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message>'
        "</Error></Errors><RequestID>00000000-0000-0000-0000-000000000000</RequestID></Response>"
    ).encode()


if __name__ == "__main__":
    run_simple("127.0.0.1", int(sys.argv[1]), Lab(DomainDispatcherApplication(create_backend_app)), threaded=True,
               request_handler=MotoRequestHandler)
