//! The machines of a run: what a host is, where lists of hosts come from, and fleets on EC2: what is owned (`ledger`),
//! what EC2 has (`ec2`), how a fleet is made (`survey`, `raise`) and ended (`raze`). Never here: SSH, agents.

#[cfg(feature = "aws")]
pub mod ec2;
pub mod host;
pub mod hostlist;
pub mod ledger;
pub mod owner;
pub mod price;
#[cfg(feature = "aws")]
pub mod raise;
#[cfg(all(test, feature = "aws"))]
mod raise_tests;
#[cfg(feature = "aws")]
pub mod raze;
pub mod shape;
#[cfg(feature = "aws")]
pub mod survey;
pub mod user_data;

#[cfg(test)]
mod ttl_tests;
