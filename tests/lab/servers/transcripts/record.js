// Owns: the transcripts of the real clients in agent/tests/transcripts, all made again by one command (45 s):
//     node tests/lab/servers/transcripts/record.js
// Arguments, if any, choose by a part of the name: `record.js v2/acks`. Must not: leave 127.0.0.1.
'use strict';
const fs = require('node:fs');
const http = require('node:http');
const path = require('node:path');
const { Transcript, record } = require('./wire.js');
const socketio = require('./socketio_scenarios.js');
const engineio = require('./engineio_scenarios.js');

const FOLDER = path.join(__dirname, '../../../../agent/tests/transcripts');
const pause = (ms) => new Promise((done) => setTimeout(done, ms));

// One conversation between a fresh server and a fresh client.
async function play({ head, serve, run }) {
  const transcript = new Transcript();
  const opened = new Set();
  const server = http.createServer((_, res) => res.writeHead(404).end());
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  const served = serve(server, transcript);
  const port = await record(transcript, server.address().port, opened);
  let timer;
  const late = new Promise((_, reject) => { timer = setTimeout(() => reject(new Error('it hangs')), 8000); });
  try {
    await Promise.race([run(`127.0.0.1:${port}`, transcript, served), late]);
    // What is still on its way belongs to it.
    while (Date.now() - transcript.changed < 120) await pause(20);
  } finally {
    clearTimeout(timer);
    const lines = transcript.lines.splice(0);
    for (const socket of opened) socket.destroy();
    served.close();
    server.closeAllConnections();
    server.close();
    transcript.lines = lines;
  }
  return [...head.map((line) => `# ${line}`), ...transcript.lines, ''].join('\n');
}

async function main() {
  const wanted = process.argv.slice(2);
  const scenarios = { ...socketio.all(), ...engineio.all() };
  if (wanted.length === 0) for (const folder of ['v2', 'v4', 'eio3', 'eio4']) fs.rmSync(path.join(FOLDER, folder), { recursive: true, force: true });
  for (const [name, scenario] of Object.entries(scenarios)) {
    if (wanted.length > 0 && !wanted.some((part) => name.includes(part))) continue;
    const file = path.join(FOLDER, `${name}.txt`);
    const text = await play(scenario).catch((e) => { throw new Error(`${name}: ${e.message}`); });
    fs.mkdirSync(path.dirname(file), { recursive: true });
    fs.writeFileSync(file, text);
    console.log(`${name}: ${text.split('\n').length - 1} lines`);
  }
}

main().then(() => process.exit(0), (e) => {
  console.error(e.stack);
  process.exit(1);
});
