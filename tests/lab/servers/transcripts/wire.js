// Owns: a TCP proxy that writes down, as lines, the HTTP requests, answers and WebSocket frames that cross it.
// Must not: change what crosses it. The line format is described in agent/tests/transcripts/README.md.
'use strict';
const net = require('node:net');

const OPCODES = { 0: 'more', 1: 'text', 2: 'binary', 8: 'close', 9: 'ping', 10: 'pong' };

class Transcript {
  constructor() {
    this.lines = [];
    this.names = new Map();
    this.changed = 0;
  }

  // Ids are random: each gets a name of the same length, so that lengths in payloads stay true.
  learn(text) {
    for (const [, id, next] of text.matchAll(/\{"sid":"([\w-]{20})"(,"upgrades")?/g)) {
      if (this.names.has(id)) continue;
      const kind = next ? 'engine' : 'socket';
      const n = [...this.names.values()].filter((name) => name.startsWith(kind)).length + 1;
      this.names.set(id, `${kind}-sid-${String(n).padStart(20 - 5 - kind.length, '0')}`);
    }
  }

  line(text) {
    let out = text;
    for (const [id, name] of this.names) out = out.replaceAll(id, name);
    this.lines.push(out);
    this.changed = Date.now();
  }

  app(text) {
    this.line(`= ${text}`);
  }
}

// Control characters and backslashes of a payload as \xNN, so that a line is a line.
function escaped(text) {
  // eslint-disable-next-line no-control-regex
  return text.replace(/[\u0000-\u001f\u007f\\]/g, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`);
}

function body(transcript, head, bytes) {
  if (bytes.length === 0) return 'empty';
  if (/^content-type: application\/octet-stream/im.test(head)) return `binary ${bytes.toString('hex')}`;
  const text = bytes.toString('utf8');
  transcript.learn(text);
  return `text ${escaped(text)}`;
}

// The query without what carries no meaning: `t` is there to get past caches.
function query(target) {
  return target.slice(target.indexOf('?') + 1).split('&').filter((part) => !/^(t|transport)=/.test(part)).join('&');
}

// Reads one direction: HTTP messages, then frames once `upgraded` is set.
class Reader {
  constructor(onMessage, onFrame) {
    Object.assign(this, { onMessage, onFrame, rest: Buffer.alloc(0), upgraded: false, parts: [] });
  }

  take(bytes) {
    this.rest = Buffer.concat([this.rest, bytes]);
    while (this.upgraded ? this.frame() : this.message());
  }

  message() {
    const end = this.rest.indexOf('\r\n\r\n');
    if (end < 0) return false;
    const head = this.rest.subarray(0, end).toString('latin1');
    const length = Number(/^content-length: *(\d+)/im.exec(head)?.[1] ?? 0);
    let [from, to] = [end + 4, end + 4 + length];
    let bytes = this.rest.subarray(from, to);
    if (/^transfer-encoding: *chunked/im.test(head)) {
      const chunks = [];
      for (;;) {
        const line = this.rest.indexOf('\r\n', from);
        if (line < 0) return false;
        const size = parseInt(this.rest.subarray(from, line).toString('latin1'), 16);
        to = line + 2 + size + 2;
        if (this.rest.length < to) return false;
        if (size === 0) break;
        chunks.push(this.rest.subarray(line + 2, line + 2 + size));
        from = to;
      }
      bytes = Buffer.concat(chunks);
    } else if (this.rest.length < to) return false;
    this.rest = this.rest.subarray(to);
    this.onMessage(head, bytes);
    return this.rest.length > 0;
  }

  frame() {
    const b = this.rest;
    if (b.length < 2) return false;
    // Engine.IO 6 refuses a foreign version in plain HTTP on a WebSocket that it has opened.
    if (b.toString('latin1').startsWith('HTTP/')) {
      this.rest = Buffer.alloc(0);
      this.onFrame('raw', b);
      return false;
    }
    let [length, at] = [b[1] & 0x7f, 2];
    if (length === 126) {
      if (b.length < 4) return false;
      [length, at] = [b.readUInt16BE(2), 4];
    } else if (length === 127) {
      if (b.length < 10) return false;
      [length, at] = [Number(b.readBigUInt64BE(2)), 10];
    }
    const masked = (b[1] & 0x80) !== 0;
    const end = at + (masked ? 4 : 0) + length;
    if (b.length < end) return false;
    const payload = Buffer.from(b.subarray(at + (masked ? 4 : 0), end));
    if (masked) for (let i = 0; i < payload.length; i += 1) payload[i] ^= b[at + (i % 4)];
    this.rest = b.subarray(end);
    if (b[0] & 0x70) throw new Error('a frame with reserved bits: compression must be off');
    const kind = OPCODES[b[0] & 0x0f];
    this.parts.push(payload);
    if (kind !== 'more') this.kind = kind;
    if (b[0] & 0x80) this.onFrame(this.kind, Buffer.concat(this.parts.splice(0)));
    return this.rest.length > 0;
  }
}

function frameText(transcript, kind, payload) {
  if (kind === 'text') {
    transcript.learn(payload.toString('utf8'));
    return `text ${escaped(payload.toString('utf8'))}`;
  }
  if (kind === 'raw') return `raw ${escaped(payload.toString('utf8'))}`;
  if (kind === 'close') return `close ${payload.length < 2 ? 1005 : payload.readUInt16BE(0)}`;
  return `${kind} ${payload.toString('hex')}`.trimEnd();
}

// Gives the port that stands for `port`.
async function record(transcript, port, opened) {
  const proxy = net.createServer((client) => {
    const server = net.connect(port, '127.0.0.1');
    for (const socket of [client, server]) opened.add(socket);
    let waiting;
    let socket = false;
    const up = new Reader((head, bytes) => {
      const [method, target] = head.split(' ');
      const ws = /^upgrade: *websocket/im.test(head);
      waiting = ws ? 'WS' : method;
      const what = ws ? 'WS open' : `${method} polling`;
      transcript.line(`> ${what} ${query(target)}${method === 'POST' ? ` ${body(transcript, head, bytes)}` : ''}`);
    }, (kind, payload) => transcript.line(`> WS ${frameText(transcript, kind, payload)}`));
    const down = new Reader((head, bytes) => {
      const status = head.split(' ')[1];
      const said = status === '101' ? '' : ` ${body(transcript, head, bytes)}`;
      transcript.line(`< ${waiting} ${status}${said}`);
      waiting = undefined;
      if (status === '101') up.upgraded = down.upgraded = socket = true;
    }, (kind, payload) => transcript.line(`< WS ${frameText(transcript, kind, payload)}`));
    let over = false;
    const end = (side) => () => {
      if (over) return;
      over = true;
      if (socket) transcript.line(`${side} WS end`);
      else if (waiting) transcript.line(`${side} ${waiting} cut`);
      client.destroy();
      server.destroy();
    };
    client.on('data', (bytes) => { up.take(bytes); server.write(bytes); });
    server.on('data', (bytes) => { down.take(bytes); client.write(bytes); });
    client.on('close', end('>')).on('end', end('>')).on('error', end('>'));
    server.on('close', end('<')).on('end', end('<')).on('error', end('<'));
  });
  await new Promise((done) => proxy.listen(0, '127.0.0.1', done));
  opened.add({ destroy: () => proxy.close() });
  return proxy.address().port;
}

module.exports = { Transcript, record };
