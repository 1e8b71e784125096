// Clients in JavaScript that start warm: `node warm.mjs` prints a port.
// Rule: each client is a worker: it has globals, arguments and an end of its own, and only the process is shared.
// A tester makes two connections. The first one gets the client's stdout. On the second one it says
// {"out": the port of the first, "script": FILE, "words": [ARGUMENT, …]}, and is told the exit code.
import net from "node:net";
import { Worker } from "node:worker_threads";

const links = new Map(); // the latest of each port of a tester
const server = net.createServer((link) => {
  links.set(link.remotePort, link);
  link.on("error", () => {}); // the tester has gone
  link.once("data", (asked) => {
    const { out, script, words } = JSON.parse(asked);
    const client = new Worker(script, { argv: words, stdout: true });
    client.stdout.pipe(links.get(out));
    client.on("error", (error) => console.error(error));
    client.on("exit", (code) => link.end(String(code)));
    link.on("close", () => client.terminate());
  });
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
process.stdin.resume().on("end", () => process.exit());
