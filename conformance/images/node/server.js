// Echoes every message. Compresses where the client offers it. /health is plain HTTP.
const http = require('http');
const { WebSocketServer } = require('ws');

const server = http.createServer((request, response) => response.end('node is healthy\n'));
const sockets = new WebSocketServer({
  server,
  maxPayload: 0,
  perMessageDeflate: { threshold: 0 },
  handleProtocols: (offered) => (offered.has('chat') ? 'chat' : false),
});
sockets.on('connection', (socket, request) => {
  if (request.url === '/close/4001') socket.close(4001, 'as asked');
  socket.on('message', (data, binary) => socket.send(data, { binary }));
});
process.on('SIGTERM', () => {
  server.close(() => process.exit(0));
  for (const socket of sockets.clients) socket.close(1001);
  server.closeIdleConnections();
});
server.listen(8080, '0.0.0.0');
