/** Heads of HTTP/1 above the limits: 60 KiB and 100 headers by default. */
import { type BeginAttack, Crowd, flood } from "./crowd.ts";

const start = "GET /small HTTP/1.1\r\nHost: shop.test\r\n";
const tooLong = Buffer.from(`${start}X-Long: ${"a".repeat(70_000)}\r\n\r\n`);
const tooMany = Buffer.from(`${start}${Array.from({ length: 150 }, (_, index) => `x-${index}: a\r\n`).join("")}\r\n`);
const endless = Buffer.alloc(16_384, "a");
/** Of one process at once: each is answered and comes back. */
const atOnce = 100;
const returnsAfterMs = 500;

const repeat =
  (bytes: Buffer): BeginAttack =>
  ({ port, clients }) =>
    Crowd.gather({
      port,
      clients: Math.min(clients, atOnce),
      returnsAfterMs,
      act: (socket) => socket.end(bytes),
    });

export const longHeads: BeginAttack = repeat(tooLong);
export const manyHeaders: BeginAttack = repeat(tooMany);

/** A header that never ends. */
export const endlessHeads: BeginAttack = ({ port, clients }) =>
  Crowd.gather({
    port,
    clients: Math.min(clients, atOnce),
    returnsAfterMs,
    act: (socket) => {
      socket.write(`${start}X-Endless: `);
      flood(socket, () => endless);
    },
  });
