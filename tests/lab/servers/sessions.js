// Owns: what each client did at a server, in order: the log that a case compares between two clients.
// Must not: be fed by anything that a client says about itself beyond what crossed the wire.
// A session: {n, eio, source, transport (where it ended), upgraded, query, cookie, beats, did, closed}; `beats` are the
// heartbeats that came from the client (its answers in version 4, its pings in version 3); `did` holds in order
//   {what: 'connect', ns, auth}      {what: 'event', ns, name, args, ack}     (raw Engine.IO: {what: 'message', data})
//   {what: 'answer', ns, to, args}   {what: 'refused', ns, reason}            {what: 'disconnect', ns, reason}
// Bytes are {bytes: length, hex: the first 32}.
'use strict';

const LIMIT = 20_000;
const OWN = ['EIO', 'transport', 't', 'b64', 'sid'];

function shown(value) {
  if (value instanceof Uint8Array || value instanceof ArrayBuffer) {
    const bytes = Buffer.from(value);
    return { bytes: bytes.length, hex: bytes.subarray(0, 32).toString('hex') };
  }
  if (Array.isArray(value)) return value.map(shown);
  if (value && typeof value === 'object') return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, shown(v)]));
  return value;
}

class Sessions {
  constructor() {
    this.reset();
  }

  reset() {
    Object.assign(this, { all: [], http: [], known: new WeakMap(), entries: 0, lost: 0 });
  }

  room() {
    this.entries += 1;
    if (this.entries <= LIMIT) return true;
    this.lost += 1;
    return false;
  }

  // `raw` is an Engine.IO socket of any version.
  opened(raw, source) {
    if (!this.room()) return;
    const query = raw.request._query ?? {};
    const session = {
      n: this.all.length,
      eio: Number(query.EIO),
      source,
      transport: raw.transport.name,
      upgraded: false,
      query: Object.fromEntries(Object.entries(query).filter(([key]) => !OWN.includes(key))),
      cookie: raw.request.headers.cookie ?? null,
      beats: 0,
      did: [],
      closed: null,
    };
    this.all.push(session);
    this.known.set(raw, session);
    raw.on('upgrade', () => Object.assign(session, { transport: raw.transport.name, upgraded: true }));
    raw.on('packet', ({ type }) => { if (type === (session.eio === 3 ? 'ping' : 'pong')) session.beats += 1; });
    raw.on('close', (reason) => { session.closed = String(reason); });
  }

  did(raw, entry) {
    const session = this.known.get(raw);
    if (session && this.room()) session.did.push(shown(entry));
  }

  asked(req, status) {
    if (this.room()) this.http.push({ method: req.method, path: req.url.split('?')[0], status });
  }

  json() {
    return { sessions: this.all, http: this.http, lost: this.lost };
  }
}

module.exports = { Sessions };
