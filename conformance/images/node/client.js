// node client.js URL: compressed and fragmented messages, there and back; says what it saw.
const assert = require('assert');
const { randomBytes } = require('crypto');
const { once } = require('events');
const WebSocket = require('ws');

const LENGTHS = [0, 1, 125, 126, 65535, 65536, 1000000];

async function echoed(socket, message, binary) {
  const answer = once(socket, 'message');
  socket.send(message, { binary });
  const [data, isBinary] = await answer;
  assert.strictEqual(isBinary, binary);
  assert(data.equals(message), `length ${message.length}`);
}

async function main(url) {
  const socket = new WebSocket(url, ['chat'], { perMessageDeflate: { threshold: 0 }, maxPayload: 0 });
  await once(socket, 'open');
  assert.match(socket.extensions, /^permessage-deflate/);
  assert.strictEqual(socket.protocol, 'chat');
  for (const length of LENGTHS) {
    await echoed(socket, Buffer.alloc(length, 'x'), false);
    await echoed(socket, randomBytes(length), true);
  }
  const whole = once(socket, 'message');
  for (const part of ['one ', 'message ', 'in ']) socket.send(part, { fin: false });
  socket.send('fragments');
  assert.strictEqual((await whole)[0].toString(), 'one message in fragments');
  const pong = once(socket, 'pong');
  socket.ping();
  await pong;
  const closed = once(socket, 'close');
  socket.close(1000);
  assert.strictEqual((await closed)[0], 1000);
  console.log('done');
}

main(process.argv[2]).catch((error) => {
  console.error(error);
  process.exit(1);
});
