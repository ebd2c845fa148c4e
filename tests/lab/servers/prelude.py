# What every script of the lab with boto3 begins with (boto.rs). `group` is open to SSH unless told otherwise.
import boto3, json, os, sys
from botocore.config import Config
from botocore.exceptions import ClientError, BotoCoreError
def client(region='us-east-1', attempts=1):
    return boto3.client('ec2', region_name=region, config=Config(retries={'total_max_attempts': attempts}))
ec2 = client()
def group(name='g', open_to='10.77.0.0/24'):
    vpc = ec2.describe_vpcs(Filters=[{'Name': 'is-default', 'Values': ['true']}])['Vpcs'][0]['VpcId']
    made = ec2.create_security_group(GroupName=name, Description='d', VpcId=vpc)['GroupId']
    if open_to:
        ec2.authorize_security_group_ingress(GroupId=made, IpPermissions=[
            {'IpProtocol': 'tcp', 'FromPort': 22, 'ToPort': 22, 'IpRanges': [{'CidrIp': open_to}]}])
    return made
def image(arch='x86_64'):
    names = [{'Name': 'name', 'Values': ['al2023-ami-2023*']}, {'Name': 'architecture', 'Values': [arch]}]
    return sorted(ec2.describe_images(Owners=['amazon'], Filters=names)['Images'], key=lambda i: i['Name'])[0]['ImageId']
def asked(n, groups, data='', zone='us-east-1a', secondary=0, **more):
    nic = {'DeviceIndex': 0, 'Groups': groups, 'AssociatePublicIpAddress': True}
    if secondary: nic['SecondaryPrivateIpAddressCount'] = secondary
    return dict(dict(ImageId=image(), InstanceType='t2.micro', MinCount=n, MaxCount=n, UserData=data, NetworkInterfaces=[nic],
        Placement={'AvailabilityZone': zone}, InstanceInitiatedShutdownBehavior='terminate'), **more)
def launch(*words, **more):
    return [i['InstanceId'] for i in ec2.run_instances(**asked(*words, **more))['Instances']]
def instances(**more):
    return [i for r in ec2.describe_instances(**more)['Reservations'] for i in r['Instances']]
def code(do):
    try: do(); return 'ok'
    except ClientError as e: return e.response['Error']['Code']
    except BotoCoreError as e: return type(e).__name__
