// Owns: the server's own count of what reached it, by source address.
// Must not: be fed by anything that swarm says about itself. The source is what the balancer (or the socket) names.
'use strict';
const { Sessions } = require('./sessions.js');

function fresh() {
  return { clients: 0, open: 0, peak: 0, disconnects: {}, emits: 0, http: 0, handshakes: {}, upgraded: 0, messages: 0, pongs: 0, refused: 0, namespaces: {} };
}

class Counts {
  constructor(name) {
    this.name = name;
    this.sources = {};
    this.all = fresh();
    this.sessions = new Sessions();
  }

  // What was open before a reset is not forgotten: its end would count below zero.
  reset() {
    this.sessions.reset();
    const before = this.sources;
    const open = this.all.open;
    this.sources = {};
    this.all = fresh();
    this.all.open = this.all.peak = open;
    for (const [address, row] of Object.entries(before)) {
      if (row.open > 0) {
        const kept = this.row(address);
        kept.open = kept.peak = row.open;
      }
    }
  }

  row(address) {
    return (this.sources[address] ??= fresh());
  }

  both(address) {
    return [this.row(address), this.all];
  }

  add(address, key, n = 1) {
    for (const row of this.both(address)) row[key] += n;
  }

  tally(address, key, word) {
    for (const row of this.both(address)) row[key][word] = (row[key][word] ?? 0) + 1;
  }

  opened(address) {
    for (const row of this.both(address)) {
      row.clients += 1;
      row.open += 1;
      row.peak = Math.max(row.peak, row.open);
    }
  }

  closed(address, reason) {
    for (const row of this.both(address)) row.open -= 1;
    this.tally(address, 'disconnects', String(reason));
  }

  // The same in Prometheus text, as a server's own page would have it.
  metrics(res) {
    const label = `{server="${this.name}"}`;
    const rows = [
      ['lab_http_requests_total', 'counter', this.all.http],
      ['lab_clients', 'gauge', this.all.open],
      ['process_resident_memory_bytes', 'gauge', process.memoryUsage().rss],
      ['process_cpu_seconds_total', 'counter', process.cpuUsage().user / 1e6],
    ];
    const body = rows.map(([name, type, n]) => `# HELP ${name} of the lab\n# TYPE ${name} ${type}\n${name}${label} ${n}\n`).join('');
    res.writeHead(200, { 'content-type': 'text/plain; version=0.0.4', 'content-length': Buffer.byteLength(body), connection: 'close' });
    res.end(body);
    return true;
  }

  // Answers the lab's own questions, which are not counted. True when it did.
  answer(req, res) {
    if (!req.url.startsWith('/_lab/')) return false;
    if (req.method === 'POST' && req.url === '/_lab/reset') this.reset();
    if (req.url === '/_lab/metrics') return this.metrics(res);
    const asked = req.url === '/_lab/log' ? this.sessions.json() : { all: this.all, sources: this.sources };
    const body = JSON.stringify({ name: this.name, ...asked });
    res.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body), connection: 'close' });
    res.end(body);
    return true;
  }
}

function sourceOf(req) {
  const named = req.headers['x-forwarded-for'];
  const address = named ? named.split(',').pop().trim() : req.socket.remoteAddress;
  return String(address).replace(/^::ffff:/, '');
}

module.exports = { Counts, sourceOf };
