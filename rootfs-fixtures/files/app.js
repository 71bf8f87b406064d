// A web server that says who answers whom.
const http = require('http');
const os = require('os');

const version = '1.0';
const port = 8080;

console.log(`Kubia server starting...`);
console.log(`Local hostname is ${os.hostname()}`);
console.log(`Listening on port ${port}`);

const server = http.createServer((request, response) => {
  const client = request.socket.remoteAddress;
  console.log(`Received request for ${request.url} from ${client}`);
  response.writeHead(200, { 'Content-Type': 'text/plain' });
  response.end(`Kubia version ${version} running on ${os.hostname()}. Your IP: ${client}.\n`);
});
server.listen(port);

process.on('SIGTERM', () => {
  console.log('Received SIGTERM, exiting.');
  process.exit(0);
});
