// Owns: what the real Socket.IO clients and servers of versions 2 and 4 are made to say to each other.
// Must not: write files (`record.js`) or look at bytes (`wire.js`).
'use strict';
const fs = require('node:fs');
const path = require('node:path');
const { Server } = require('socket.io');
const { Manager } = require('socket.io-client');
const serverOf2 = require('socket.io-v2');
const { Manager: ManagerOf2 } = require('socket.io-client-v2');

const TRANSPORTS = { polling: ['polling'], websocket: ['websocket'], upgrade: ['polling', 'websocket'] };
const QUIET = { httpCompression: false, perMessageDeflate: false };
const version = (name) => JSON.parse(fs.readFileSync(path.join(__dirname, '../node_modules', name, 'package.json'))).version;
const pause = (ms) => new Promise((done) => setTimeout(done, ms));
const once = (emitter, event) => new Promise((done) => emitter.once(event, (...args) => done(args)));

// Arguments as JSON; bytes as {"hex":".."}.
function shown(args) {
  const plain = (v) => {
    if (v instanceof Uint8Array || v instanceof ArrayBuffer) return { hex: Buffer.from(v).toString('hex') };
    if (Array.isArray(v)) return v.map(plain);
    if (v && typeof v === 'object') return Object.fromEntries(Object.entries(v).map(([k, w]) => [k, plain(w)]));
    return v;
  };
  return JSON.stringify(args.map(plain));
}

// The application's side of one socket: what it does and sees becomes a line.
class App {
  constructor(transcript, who, socket, version) {
    Object.assign(this, { transcript, who, socket, version });
    for (const event of ['connect', 'disconnect', 'connect_error', 'error']) {
      if (event === 'connect' && who.startsWith('server')) continue;
      socket.on(event, (...args) => {
        const said = event === 'connect' ? [] : args.slice(0, 1).map((a) => (a instanceof Error ? { message: a.message, data: a.data } : a));
        this.say(event, said.length > 0 ? said : undefined);
      });
    }
  }

  say(what, args) {
    this.transcript.app(`${this.who} ${what}${args ? ` ${shown(args)}` : ''}`);
  }

  emit(...args) {
    this.say('emit', args);
    this.socket.emit(...args);
  }

  ask(...args) {
    this.say('emit-with-ack', args);
    return new Promise((done) => this.socket.emit(...args, (...answer) => {
      this.say('acked', answer);
      done(answer);
    }));
  }

  // Answers an event with these arguments if an answer is asked for.
  hears(event, answer) {
    this.socket.on(event, (...args) => {
      const ack = typeof args.at(-1) === 'function' ? args.pop() : undefined;
      this.say('heard', [event, ...args]);
      if (ack && answer) {
        this.say('answers', answer);
        ack(...answer);
      }
    });
    return this;
  }

  leave() {
    this.say('leaves');
    this.socket.disconnect();
  }
}

const NEWS = Buffer.from([1, 2, 3, 4]);
const MORE = Buffer.from([0xff, 0, 0xc3, 0x28]);
const TEXT = 'naïve € 😀 "q" \\ \n';

// Each: what the server does with a socket (`server(app, nsp)`), what the client does (`client({open, app})`), options.
const SCENARIOS = {
  connect: { about: 'in, and out by the client', client: async ({ root }) => (await root()).leave() },
  events: {
    about: 'events both ways, with no, several and non-ASCII arguments',
    server: (app) => {
      app.hears('hello').hears('text');
      app.emit('news', { a: 1 }, [null, true], TEXT);
      app.emit('bare');
    },
    client: async ({ root, until }) => {
      const app = await root((a) => a.hears('news').hears('bare').hears('last'));
      app.emit('hello');
      app.emit('text', TEXT, 1.5, { b: [] });
      await until('server', 'text');
      app.leave();
    },
  },
  acks: {
    about: 'the client asks for acknowledgements; one is empty, one has several values',
    server: (app) => app.hears('sum', [3, 'three']).hears('empty', []),
    client: async ({ root }) => {
      const app = await root();
      await Promise.all([app.ask('sum', 1, 2), app.ask('empty')]);
      await app.ask('sum', 3);
      app.leave();
    },
  },
  'server-acks': {
    about: 'the server asks, the client answers',
    server: async (app) => {
      await Promise.all([app.ask('question', 'why'), app.ask('question', 'when')]);
      await app.ask('empty');
      app.emit('done');
    },
    client: async ({ root }) => {
      const app = await root((a) => a.hears('question', ['because', 1]).hears('empty', []).hears('done'));
      await once(app.socket, 'done');
      app.leave();
    },
  },
  binary: {
    about: 'binary both ways: one attachment, two nested ones, none left empty',
    server: (app) => {
      app.hears('bytes').hears('two').hears('none');
      app.emit('bytes', NEWS);
      app.emit('two', { a: NEWS, b: [MORE, 'x'] });
    },
    client: async ({ root, until }) => {
      const app = await root((a) => a.hears('bytes').hears('two'));
      app.emit('bytes', NEWS);
      app.emit('two', { a: MORE, b: [NEWS] });
      app.emit('none', Buffer.alloc(0));
      await until('server', 'none');
      app.leave();
    },
  },
  'binary-acks': {
    about: 'binary in questions and answers, both ways',
    server: async (app) => {
      app.hears('bin', [NEWS, 'ok']);
      await app.ask('question', MORE);
      app.emit('done');
    },
    client: async ({ root }) => {
      const app = await root((a) => a.hears('question', [NEWS]).hears('done'));
      await Promise.all([app.ask('bin', MORE), once(app.socket, 'done')]);
      await app.ask('bin', 'text asks, binary answers');
      app.leave();
    },
  },
  namespaces: {
    about: 'two namespaces on one connection; /chat is left first',
    spaces: ['/chat'],
    server: (app) => {
      app.hears('hello', ['yes']).hears('bytes');
      app.emit('welcome', app.who);
    },
    client: async ({ root, other, until }) => {
      const app = await root((a) => a.hears('welcome'));
      const chat = await other('/chat', (a) => a.hears('welcome'));
      await Promise.all([app.ask('hello', '/'), chat.ask('hello', '/chat')]);
      chat.emit('bytes', NEWS);
      await until('server/chat', 'bytes');
      chat.leave();
      await app.ask('hello', 'again');
      app.leave();
    },
  },
  'one-namespace': {
    about: 'a namespace alone, as `io(url + "/chat")`; version 2 enters / all the same',
    spaces: ['/chat'],
    server: (app) => app.hears('hello', ['yes']),
    client: async ({ root, other }) => {
      const chat = await other('/chat');
      await chat.ask('hello');
      chat.leave();
    },
  },
  auth: {
    about: 'version 4: an auth payload for / and /chat; version 2: a query of the connection and one of the namespace',
    spaces: ['/chat'],
    auth: { token: 'sésame', n: 1 },
    query: { token: 'a b&c' },
    server: (app) => app.say('was told', [app.version === 4 ? app.socket.handshake.auth : { token: app.socket.handshake.query.token }]),
    client: async ({ root, other }) => {
      const app = await root();
      const chat = await other('/chat', undefined, { token: 'of-chat' });
      chat.leave();
      app.leave();
    },
  },
  'connect-error': {
    about: 'middleware refuses /admin, /nope does not exist; / goes on',
    spaces: ['/admin'],
    refuse: '/admin',
    server: (app) => app.hears('hello', ['yes']),
    client: async ({ root, refused }) => {
      const app = await root();
      await refused('/admin');
      await refused('/nope');
      await app.ask('hello');
      app.leave();
    },
  },
  'connect-error-root': {
    about: 'middleware refuses /',
    refuse: '/',
    client: async ({ refused }) => {
      const socket = await refused('/');
      await pause(100);
      socket.disconnect();
    },
  },
  'kick-namespace': {
    about: 'the server disconnects the client from /chat; / goes on',
    spaces: ['/chat'],
    server: (app) => app.hears('hello', ['yes']).hears('kick') && app.socket.on('kick', () => app.leave()),
    client: async ({ root, other }) => {
      const app = await root();
      const chat = await other('/chat');
      chat.emit('kick');
      await once(chat.socket, 'disconnect');
      await app.ask('hello');
      app.leave();
    },
  },
  kick: {
    about: 'the server disconnects the client and closes the connection',
    spaces: ['/chat'],
    server: (app) => app.hears('kick') && app.socket.on('kick', () => {
      app.say('closes');
      app.socket.disconnect(true);
    }),
    client: async ({ root, other }) => {
      const app = await root();
      const chat = await other('/chat');
      app.emit('kick');
      await Promise.all([once(app.socket, 'disconnect'), once(chat.socket, 'disconnect')]);
    },
  },
  'engine-close': {
    about: 'the server closes the Engine.IO session without a word of Socket.IO',
    server: (app) => app.hears('close') && app.socket.on('close', () => {
      app.say('closes the session');
      app.socket.conn.close();
    }),
    client: async ({ root }) => {
      const app = await root();
      app.emit('close');
      await once(app.socket, 'disconnect');
    },
  },
  heartbeat: {
    about: 'pingInterval 300 ms, pingTimeout 200 ms, one second; an event in the middle',
    beat: { pingInterval: 300, pingTimeout: 200 },
    server: (app) => app.hears('hello', ['yes']),
    client: async ({ root }) => {
      const app = await root();
      await pause(500);
      await app.ask('hello');
      await pause(600);
      app.leave();
    },
  },
  leave: {
    about: 'the client leaves with emits still unsent',
    server: (app) => app.hears('last'),
    client: async ({ root }) => {
      const app = await root();
      app.emit('last', 1);
      app.emit('last', 2);
      app.leave();
    },
  },
};

// One scenario between a server and a client of these versions.
function scenario(name, what, transport, serverVersion, clientVersion) {
  const { about, spaces = [], auth, query, beat, refuse, server, client } = what;
  const heard = [];
  const allows = serverVersion !== clientVersion && what.client !== FOREIGN.client;
  return {
    head: [
      `${name}, transport ${transport}: ${about}`,
      `socket.io ${version(serverVersion === 4 ? 'socket.io' : 'socket.io-v2')}${serverVersion === 4 && allows ? ' with allowEIO3' : ''}, ` +
        `socket.io-client ${version(clientVersion === 4 ? 'socket.io-client' : 'socket.io-client-v2')}`,
    ],
    serve: (web, transcript) => {
      const options = { ...QUIET, ...beat };
      const made = serverVersion === 4
        ? new Server(web, { ...options, allowEIO3: allows })
        : serverOf2(web, { ...options, serveClient: false });
      for (const space of ['/', ...spaces]) {
        const nsp = made.of(space);
        if (refuse === space) nsp.use((_, next) => next(Object.assign(new Error('not authorized'), { data: { code: 7 } })));
        nsp.on('connection', (socket) => {
          const who = space === '/' ? 'server' : `server${space}`;
          transcript.app(`${who} connection`);
          const app = new App(transcript, who, socket, serverVersion);
          const say = app.say.bind(app);
          app.say = (what, args) => {
            say(what, args);
            if (what === 'heard') for (const listener of [...heard]) listener(who, args[0]);
          };
          server?.(app);
        });
      }
      return made;
    },
    run: async (at, transcript) => {
      const options = { transports: TRANSPORTS[transport], forceNew: true, reconnection: false, autoConnect: false };
      const manager = clientVersion === 4 ? new Manager(`http://${at}`, options) : new ManagerOf2(`http://${at}`, { ...options, query });
      manager.on('error', (e) => transcript.app(`client connection failed: ${e.message ?? e}`));
      let upgraded = Promise.resolve();
      const enter = (space, prepare, word, ofSpace) => {
        const socket = manager.socket(space, clientVersion === 4 ? { auth } : { query: ofSpace });
        const app = new App(transcript, space === '/' ? 'client' : `client${space}`, socket, clientVersion);
        prepare?.(app);
        app.say('connects');
        const so = once(socket, word);
        socket.connect();
        if (transport === 'upgrade' && manager.engine?.transport.name !== 'websocket') {
          upgraded = new Promise((done) => manager.engine.once('upgrade', done));
        }
        return so.then(() => app);
      };
      const refusal = clientVersion === 4 ? 'connect_error' : 'error';
      await client({
        root: (prepare) => enter('/', prepare, 'connect'),
        other: (space, prepare, ofSpace) => enter(space, prepare, 'connect', ofSpace),
        refused: async (space) => (await enter(space, undefined, refusal)).socket,
        failed: () => enter('/', undefined, 'never'),
        upgraded: () => upgraded,
        until: (who, event) => new Promise((done) => heard.push((w, e) => w === who && e === event && done())),
      });
    },
  };
}

// With the upgrade, what the client does right after `connect` falls into the middle of the probe; this waits for it.
const AFTER_UPGRADE = {
  about: 'as acks and server-acks, begun once the upgrade is done',
  server: (app) => app.hears('sum', [3]).hears('ask') && app.socket.on('ask', () => app.ask('question', 'why').then(() => app.emit('done'))),
  client: async ({ root, upgraded }) => {
    const app = await root((a) => a.hears('question', ['because']).hears('done'));
    await upgraded();
    await pause(50);
    await app.ask('sum', 1, 2);
    app.emit('ask');
    await once(app.socket, 'done');
    app.leave();
  },
};

// A client of one version at a server of the other that does not want it.
const FOREIGN = {
  about: 'a client of the other version',
  client: async ({ failed }) => {
    await Promise.race([failed(), pause(600)]);
  },
};

function all() {
  const found = {};
  for (const [folder, version] of [['v4', 4], ['v2', 2]]) {
    for (const transport of Object.keys(TRANSPORTS)) {
      const put = (name, what, server = version) => {
        found[`${folder}/${name}-${transport}`] = scenario(name, what, transport, server, version);
      };
      for (const [name, what] of Object.entries(SCENARIOS)) put(name, what);
      if (transport === 'upgrade') put('after-upgrade', AFTER_UPGRADE);
      if (transport !== 'upgrade') put('foreign', FOREIGN, version === 4 ? 2 : 4);
      if (version === 2) for (const name of ['acks', 'namespaces', 'binary', 'connect-error']) put(`${name}-server4`, SCENARIOS[name], 4);
    }
  }
  return found;
}

module.exports = { all, once, pause, shown, version, TRANSPORTS, QUIET };
