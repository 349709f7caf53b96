/** Messages through `ws` on both sides, as programs send them: compressed, in parts, by sub-protocol. */
import { once } from "node:events";
import WebSocket from "ws";

export interface Conversation {
  readonly name: string;
  readonly path: "/deflate" | "/protocols" | "/chat";
  readonly options: WebSocket.ClientOptions;
  readonly protocols: readonly string[];
  readonly messages: readonly (string | Buffer)[];
}

const sizes = [0, 1, 16, 64, 256, 1_024, 4_096, 8_192, 16_384, 32_768, 65_536, 131_072];
const text = (size: number): string => "The quick brown fox jumps over the lazy dog. ".repeat(size).slice(0, size);
/** Bytes that do not become fewer, and are the same in every run. */
const noise = (size: number): Buffer =>
  Buffer.from(Array.from({ length: size }, (_, index) => (index * index * 31 + (index >> 3)) % 251));

export const conversations: readonly Conversation[] = [
  ...(
    [
      ["as it is", {}],
      ["without a context of the server", { serverNoContextTakeover: true }],
      ["without a context of the client", { clientNoContextTakeover: true }],
      ["with small windows", { serverMaxWindowBits: 9, clientMaxWindowBits: 9 }],
    ] as const
  ).flatMap(([name, perMessageDeflate]): readonly Conversation[] => [
    {
      ...{ name: `compressed text, ${name}`, path: "/deflate", protocols: [] },
      ...{ options: { perMessageDeflate: { threshold: 0, ...perMessageDeflate } }, messages: sizes.map(text) },
    },
    {
      ...{ name: `compressed bytes, ${name}`, path: "/deflate", protocols: [] },
      ...{ options: { perMessageDeflate: { threshold: 0, ...perMessageDeflate } }, messages: sizes.map(noise) },
    },
  ]),
  {
    ...{ name: "compression that the server does not take", path: "/chat", protocols: [] },
    ...{ options: { perMessageDeflate: { threshold: 0 } }, messages: sizes.map(text) },
  },
  {
    ...{ name: "a sub-protocol", path: "/protocols", protocols: ["one", "two"] },
    ...{ options: { perMessageDeflate: false }, messages: ["a"] },
  },
  {
    ...{ name: "a thousand messages", path: "/deflate", protocols: [] },
    ...{
      options: { perMessageDeflate: { threshold: 0 } },
      messages: Array.from({ length: 1_000 }, (_, index) => text(index % 200)),
    },
  },
];

export interface Said {
  readonly extensions: string;
  readonly protocol: string;
  readonly echoes: readonly string[];
  readonly code: number;
}

/** Says all messages, hears as many, and says goodbye. Rejects where the upgrade fails. */
export async function converse(port: number, { path, options, protocols, messages }: Conversation): Promise<Said> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`, [...protocols], options);
  const echoes: string[] = [];
  const heardAll = new Promise<void>((resolve, reject) => {
    socket.on("error", reject);
    socket.on("close", () => reject(new Error("the connection ended before all was heard")));
    socket.on("message", (data: Buffer) => {
      if (echoes.push(data.toString("base64")) === messages.length) resolve();
    });
  });
  heardAll.catch(() => undefined);
  await once(socket, "open");
  const { extensions, protocol } = socket;
  for (const message of messages) socket.send(message);
  await heardAll;
  socket.close(1000, "done");
  const [code] = (await once(socket, "close")) as [number];
  return { extensions, protocol, echoes, code };
}
