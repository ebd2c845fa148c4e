// Owns: the real Socket.IO client, for proving that the lab's servers count right, and that a fault built into a balancer is
// one. It keeps cookies, as browsers do. Arguments: URL TRANSPORT COUNT [STAY_MS]
'use strict';
const { io } = require('socket.io-client');

const [url, transport, count, stay] = process.argv.slice(2);
const transports = { websocket: ['websocket'], polling: ['polling'], upgrade: ['polling', 'websocket'] }[transport];

async function one() {
  const socket = io(url, { transports, forceNew: true, reconnection: false, withCredentials: true, timeout: 5000 });
  // The probe may fail before the namespace answers, so it is listened to from the start.
  const upgraded = new Promise((resolve, reject) => socket.io.engine.once('upgrade', resolve).once('upgradeError', reject).once('close', reject));
  upgraded.catch(() => {});
  await new Promise((resolve, reject) => socket.on('connect', resolve).on('connect_error', reject));
  if (transport === 'upgrade') await upgraded;
  return socket;
}

async function main() {
  const sockets = await Promise.all(Array.from({ length: Number(count) }, one));
  const left = new Promise((_, reject) => sockets.forEach((s) => s.on('disconnect', (reason) => reject(new Error(reason)))));
  const over = new Promise((resolve) => setTimeout(resolve, Number(stay ?? 0)));
  await Promise.race([left, over]);
  left.catch(() => {});
  const acks = await Promise.all(sockets.map((s) => s.timeout(5000).emitWithAck('echo', { i: 1 })));
  for (const socket of sockets) socket.disconnect();
  console.log(`${acks.filter((a) => a.i === 1).length} acked`);
}

main().catch((e) => {
  console.error(e.message ?? e);
  process.exit(1);
});
