// Owns: what the real Engine.IO clients and servers of protocols 3 and 4 are made to say to each other.
// Must not: write files (`record.js`) or look at bytes (`wire.js`).
'use strict';
const { once, pause, shown, version, TRANSPORTS, QUIET } = require('./socketio_scenarios.js');

const BYTES = Buffer.from([0, 1, 2, 253, 254, 255]);
const TEXT = 'naïve € 😀';

// The client of Engine.IO 3 as a browser has it, with binary answers: loaded apart from the one that Node has.
function browserLike() {
  const folder = require.resolve('engine.io-client-v3/package.json').replace(/package\.json$/, '');
  const drop = () => {
    const dropped = {};
    for (const file of Object.keys(require.cache).filter((f) => f.startsWith(`${folder}lib`))) {
      dropped[file] = require.cache[file];
      delete require.cache[file];
    }
    return dropped;
  };
  const before = drop();
  const file = require.resolve(`${folder}lib/transports/xmlhttprequest.js`);
  require.cache[file] = Object.assign(new module.constructor(file), { id: file, filename: file, loaded: true, exports: require('./xhr.js') });
  const made = require('engine.io-client-v3');
  drop();
  Object.assign(require.cache, before);
  return made;
}

const nodeLike = require('engine.io-client-v3');
const CLIENTS = { 3: nodeLike, octet: browserLike(), 4: (url, options) => new (require('engine.io-client').Socket)(url, options) };
const SERVERS = { 3: require('engine.io-v3'), 4: require('engine.io') };

const SCENARIOS = {
  connect: { about: 'in, and out by the client', client: async ({ open, socket }) => { await open; socket.close(); } },
  text: {
    about: 'text both ways: the server echoes, and speaks first',
    first: ['welcome', TEXT],
    client: async ({ open, socket, say, heard }) => {
      await open;
      say('hello');
      say(TEXT);
      await heard(4);
      socket.close();
    },
  },
  binary: {
    about: 'binary and text mixed, both ways',
    first: [BYTES, 'text'],
    client: async ({ open, socket, say, heard }) => {
      await open;
      say(BYTES);
      say('between');
      say(Buffer.alloc(0));
      say(Buffer.alloc(130, 7));
      await heard(6);
      socket.close();
    },
  },
  heartbeat: {
    about: 'pingInterval 300 ms, pingTimeout 200 ms, one second',
    beat: { pingInterval: 300, pingTimeout: 200 },
    client: async ({ open, socket }) => { await open; await pause(1000); socket.close(); },
  },
  'server-close': {
    about: 'the server closes the session',
    client: async ({ open, socket, say }) => {
      const over = once(socket, 'close');
      await open;
      say('close');
      await over;
    },
  },
};

function scenario(name, { about, first = [], beat, client }, transport, protocol, flavour) {
  const browser = flavour === 'octet';
  return {
    head: [
      `${name}, transport ${transport}: ${about}`,
      protocol === 4
        ? `engine.io ${version('engine.io')}, engine.io-client ${version('engine.io-client')}`
        : `engine.io ${version('engine.io-v3')}, engine.io-client ${version('engine.io-client-v3')}${browser ? ' with a browser-like XMLHttpRequest' : ''}`,
    ],
    serve: (web, transcript) => {
      const made = SERVERS[protocol].attach(web, { ...QUIET, ...beat });
      made.on('connection', (socket) => {
        const say = (message) => {
          transcript.app(`server send ${shown([message])}`);
          socket.send(message);
        };
        transcript.app('server connection');
        first.forEach(say);
        socket.on('message', (message) => {
          transcript.app(`server heard ${shown([message])}`);
          if (message !== 'close') return say(message);
          transcript.app('server closes');
          return socket.close();
        });
        socket.on('close', (reason) => transcript.app(`server close ${shown([reason])}`));
      });
      return made;
    },
    run: async (at, transcript) => {
      transcript.app('client connects');
      const socket = CLIENTS[flavour](`ws://${at}`, { transports: TRANSPORTS[transport] });
      let n = 0;
      const waiting = [];
      const log = (what, args) => transcript.app(`client ${what}${args ? ` ${shown(args)}` : ''}`);
      socket.on('open', () => log('open'));
      socket.on('upgrade', () => log('upgraded'));
      socket.on('message', (message) => {
        log('heard', [message]);
        n += 1;
        for (const [count, done] of waiting) if (n >= count) done();
      });
      socket.on('close', (reason) => log('close', [reason]));
      socket.on('error', (e) => log(`error ${e.message}`));
      const leave = socket.close.bind(socket);
      await client({
        socket: { close: () => { log('leaves'); leave(); }, once: socket.once.bind(socket) },
        open: once(socket, 'open'),
        say: (message) => { log('send', [message]); socket.send(message); },
        heard: (count) => new Promise((done) => { if (n >= count) done(); else waiting.push([count, done]); }),
      });
    },
  };
}

function all() {
  const found = {};
  for (const [folder, protocol] of [['eio4', 4], ['eio3', 3]]) {
    for (const transport of Object.keys(TRANSPORTS)) {
      for (const [name, what] of Object.entries(SCENARIOS)) {
        found[`${folder}/${name}-${transport}`] = scenario(name, what, transport, protocol, protocol);
        if (protocol === 3 && transport !== 'websocket') {
          found[`${folder}/${name}-${transport}-octet`] = scenario(name, what, transport, 3, 'octet');
        }
      }
    }
  }
  return found;
}

module.exports = { all };
