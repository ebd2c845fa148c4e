//! Owns: one plain request from the root namespace, for the lab's own questions. Must not: be used as load.

use crate::{Result, ensure};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

pub struct Answer {
    pub status: u16,
    pub body: String,
}

pub fn ask(method: &str, address: SocketAddr, path: &str) -> Result<Answer> {
    send(method, address, path, "")
}

pub fn send(method: &str, address: SocketAddr, path: &str, sent: &str) -> Result<Answer> {
    let mut socket = TcpStream::connect_timeout(&address, Duration::from_secs(2))?;
    socket.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(
        socket,
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{sent}",
        sent.len()
    )?;
    let mut text = String::new();
    socket.read_to_string(&mut text)?;
    let (head, body) = text
        .split_once("\r\n\r\n")
        .ok_or("an answer without an end of headers")?;
    let status = head.split(' ').nth(1).ok_or("no status line")?.parse()?;
    Ok(Answer {
        status,
        body: body.to_owned(),
    })
}

pub fn get(address: SocketAddr, path: &str) -> Result<Answer> {
    let answer = ask("GET", address, path)?;
    ensure!(answer.status < 500, "{address}{path} answered {}", answer.status);
    Ok(answer)
}
