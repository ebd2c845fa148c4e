// Owns: what a Socket.IO client can do at every server of the lab, of versions 2 and 4 alike.
// Must not: use what only one version has, or know anything about swarm. Events (each acked if an ack is asked for):
//   echo ARGS          emits echo back, and acks with the same         bin BYTES..   the same, kept apart for binary
//   join ROOM          acks with the room                              leave ROOM
//   say {room, text}   emits `said` to the room, sender included; with others: true, to the others alone
//   broadcast-all ..   emits it to the namespace; `shout` is its older name         broadcast-others ..   to the others
//   ask ARGS           emits `question` with an ack of its own; what comes back goes to the log, and to the asker's ack
// A handshake with ?welcome=1 is greeted by the event `welcome` {server: NAME}.
//   kick               the server closes the connection                kick-namespace   it leaves the namespace alone
'use strict';
const { sourceOf } = require('./counts.js');

function welcomer(io, counts) {
  const { sessions } = counts;
  return function welcome(socket) {
    const source = sourceOf(socket.request);
    // In version 2 the namespace is gone from the socket's side once it has left.
    const [raw, nsp] = [socket.conn, socket.nsp];
    const ns = nsp.name;
    counts.opened(source);
    counts.tally(source, 'namespaces', ns);
    sessions.did(raw, { what: 'connect', ns, auth: socket.handshake.auth ?? {} });

    // For those who ask for it: who they are with is told by an event.
    if (socket.handshake.query.welcome) socket.emit('welcome', { server: counts.name });

    const on = (event, handler) => socket.on(event, (...args) => {
      const ack = typeof args.at(-1) === 'function' ? args.pop() : () => {};
      handler(args, ack);
    });
    const seen = (event, args) => {
      counts.add(source, 'emits');
      const ack = typeof args.at(-1) === 'function';
      sessions.did(raw, { what: 'event', ns, name: event, args: ack ? args.slice(0, -1) : args, ack });
    };
    if (socket.onAny) socket.onAny((event, ...args) => seen(event, args));
    else socket.use(([event, ...args], next) => { seen(event, args); next(); });

    for (const event of ['echo', 'bin']) {
      on(event, (args, ack) => {
        socket.emit(event, ...args);
        ack(...args);
      });
    }
    // Told to all servers' clients where there is an adapter: this is what it carries.
    for (const event of ['shout', 'broadcast-all']) {
      on(event, (args, ack) => {
        ack();
        io.of(ns).emit(event, ...args);
      });
    }
    on('broadcast-others', (args, ack) => {
      ack();
      socket.broadcast.emit('broadcast-others', ...args);
    });
    on('join', ([room], ack) => {
      socket.join(room);
      ack(room);
    });
    on('leave', ([room], ack) => {
      socket.leave(room);
      ack(room);
    });
    on('say', ([words], ack) => {
      const { room, others } = words ?? {};
      (others ? socket.to(room) : io.of(ns).to(room)).emit('said', words);
      ack();
    });
    on('ask', (args, ack) => {
      socket.emit('question', ...args, (...answer) => {
        sessions.did(raw, { what: 'answer', ns, to: 'question', args: answer });
        ack(...answer);
      });
    });
    socket.on('kick', () => socket.disconnect(true));
    socket.on('kick-namespace', () => socket.disconnect());
    socket.on('disconnect', (reason) => {
      counts.closed(source, reason);
      sessions.did(raw, { what: 'disconnect', ns, reason });
    });
  };
}

// The namespaces of every server: / and /chat for all, /admin for token "secret", /private for who has logged in.
function open(io, counts, { onlyKnown, onlySecret }) {
  const welcome = welcomer(io, counts);
  const noted = (guard) => (socket, next) => guard(socket, (error) => {
    if (error) counts.sessions.did(socket.conn, { what: 'refused', ns: socket.nsp.name, reason: error.message });
    next(error);
  });
  io.engine.on('connection', (raw) => {
    const source = sourceOf(raw.request);
    counts.tally(source, 'handshakes', raw.transport.name);
    counts.sessions.opened(raw, source);
    raw.on('upgrade', () => counts.add(source, 'upgraded'));
  });
  io.of('/').on('connection', welcome);
  io.of('/chat').on('connection', welcome);
  for (const [name, guard] of [['/admin', onlySecret], ['/private', onlyKnown]]) io.of(name).use(noted(guard)).on('connection', welcome);
}

module.exports = { open };
