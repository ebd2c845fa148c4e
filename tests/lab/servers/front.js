// Owns: the plain HTTP side of every Socket.IO server of the lab, and who is let in: /login, /me, /redirect, /status/NNN.
// GET /who says in JSON who answers and who asked; with ?slow=NAME:MS the server of that name takes so long for it.
// Must not: know anything about swarm. POST /login {"name":"ann","password":"pw-ann"} answers {"token":".."} and sets
// the cookie `session` to the same; GET /me says whose token (Authorization: Bearer) or cookie it is, or 401.
'use strict';
const crypto = require('node:crypto');
const http = require('node:http');
const { sourceOf } = require('./counts.js');

// The same at every server, with nothing to keep: a client may log in at one and enter another.
function tokenOf(name) {
  return `${name}.${crypto.createHash('sha256').update(`lab ${name}`).digest('hex').slice(0, 24)}`;
}

function nameOf(token) {
  const name = String(token ?? '').split('.')[0];
  return name && token === tokenOf(name) ? name : undefined;
}

function cookieOf(req) {
  return /(?:^|;\s*)session=([^;]*)/.exec(req.headers.cookie ?? '')?.[1];
}

// Middleware of /private: the token as auth (version 4) or query (version 2), or the cookie of /login.
function onlyKnown(socket, next) {
  const { auth, query } = socket.handshake;
  const name = nameOf(auth?.token) ?? nameOf(query?.token) ?? nameOf(cookieOf(socket.request));
  next(name ? undefined : new Error('not authorized'));
}

// Middleware of /admin.
function onlySecret(socket, next) {
  const { auth, query } = socket.handshake;
  next((auth?.token ?? query?.token) === 'secret' ? undefined : new Error('not authorized'));
}

function answer(res, status, body, headers = {}) {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  const type = typeof body === 'string' ? 'text/plain' : 'application/json';
  res.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(text), ...headers });
  res.end(text);
}

function login(req, res, sessions) {
  const parts = [];
  req.on('data', (part) => parts.push(part));
  req.on('end', () => {
    let asked;
    try {
      asked = JSON.parse(Buffer.concat(parts).toString('utf8'));
    } catch {
      asked = undefined;
    }
    const known = typeof asked?.name === 'string' && /^[\w-]+$/.test(asked.name) && asked.password === `pw-${asked.name}`;
    const status = asked === undefined ? 400 : known ? 200 : 401;
    sessions.asked(req, status);
    if (!known) return answer(res, status, { error: status === 400 ? 'not JSON' : 'wrong name or password' });
    const token = tokenOf(asked.name);
    return answer(res, 200, { token }, { 'set-cookie': `session=${token}; Path=/; HttpOnly` });
  });
}

function frontOf(name, counts) {
  const server = http.createServer((req, res) => {
    if (counts.answer(req, res)) return;
    const source = sourceOf(req);
    counts.add(source, 'http');
    const path = req.url.split('?')[0];
    if (path === '/login' && req.method === 'POST') return login(req, res, counts.sessions);
    req.resume();
    if (path === '/redirect') return answer(res, 302, '', { location: '/' });
    if (path === '/me') {
      const who = nameOf(/^Bearer (.+)$/.exec(req.headers.authorization ?? '')?.[1]) ?? nameOf(cookieOf(req));
      counts.sessions.asked(req, who ? 200 : 401);
      return answer(res, who ? 200 : 401, who ? { name: who } : { error: 'not logged in' });
    }
    if (path === '/who') {
      const slow = /[?&]slow=([^:&]+):(\d+)/.exec(req.url);
      const say = () => answer(res, 200, { server: { name }, client: source });
      return slow?.[1] === name ? setTimeout(say, Number(slow[2])) : say();
    }
    return answer(res, /^\/status\/\d{3}$/.test(path) ? Number(path.slice(8)) : 200, `hello from ${name} to ${source}\n`);
  });
  server.keepAliveTimeout = 60_000;
  return server;
}

// The backend's name on every HTTP answer, those of Engine.IO included, and on each 101. After it is attached.
function sign(server, engine, name) {
  server.prependListener('request', (_, res) => res.setHeader('X-Backend', name));
  // Engine.IO makes its WebSocket server anew when the HTTP server begins to listen.
  server.once('listening', () => engine.ws.on('headers', (headers) => headers.push(`X-Backend: ${name}`)));
}

module.exports = { frontOf, onlyKnown, onlySecret, sign };
