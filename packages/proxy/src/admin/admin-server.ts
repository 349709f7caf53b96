import { Readable } from "node:stream";
import type { Address } from "@meltemi/protos/envoy/config/core/v3";
import { type FastifyReply, fastify } from "fastify";
import { ConfigError } from "../lib/config-error.ts";
import { type AdminAnswer, type AdminPage, BadQueryError } from "./admin-page.ts";
import { certsPage } from "./certs-page.ts";
import { clustersPage } from "./clusters-page.ts";
import { createConfigDumpPage } from "./config-dump-page.ts";
import { buildHomePage, formatHelp } from "./help-page.ts";
import { listenerPages } from "./listeners-page.ts";
import { loggingPage } from "./logging-page.ts";
import { createServerPages } from "./server-pages.ts";
import { statsPages } from "./stats-page.ts";
import type { AdminSource } from "./types.ts";

export interface AdminServer {
  /** 0 for a Unix socket. */
  readonly port: number;
  close(): Promise<void>;
}

const contentTypes = {
  text: "text/plain; charset=UTF-8",
  json: "application/json",
  html: "text/html; charset=UTF-8",
} as const;

/**
 * Serves Envoy's administration pages. Rejects with ConfigError for an address that cannot be used, and with the system's
 * error for one that cannot be listened on. Whoever reaches the address may do everything: it belongs on loopback.
 */
export async function startAdmin(source: AdminSource, address: Address): Promise<AdminServer> {
  const target = findTarget(address);
  const pages = listPages(source);
  const byPath = new Map(pages.map((page) => [page.path, page]));
  const server = fastify({ bodyLimit: 64 * 1024, forceCloseConnections: true });
  // Forms and scripts post with bodies of any kind, which nothing here reads.
  server.removeAllContentTypeParsers();
  server.addContentTypeParser("*", { parseAs: "buffer" }, (_request, _body, done) => done(null, undefined));
  server.setErrorHandler((cause, _request, reply) => {
    source.log.warn("An administration page failed", { cause: String(cause) });
    return send(reply, { status: 500, body: `${String(cause)}\n` });
  });
  server.all("/*", (request, reply) => {
    const { pathname, searchParams } = new URL(request.url, "http://admin");
    return send(
      reply,
      answer(source, { pages, page: byPath.get(pathname), method: request.method, query: searchParams }),
    );
  });
  await server.listen(target);
  const bound = server.server.address();
  return {
    port: typeof bound === "object" && bound !== null ? bound.port : 0,
    close: () => server.close(),
  };
}

function listPages(source: AdminSource): readonly AdminPage[] {
  const shown: AdminPage[] = [
    certsPage,
    clustersPage,
    createConfigDumpPage(source.clock.now()),
    ...listenerPages,
    loggingPage,
    ...createServerPages(source.clock.monotonic()),
    ...statsPages,
  ];
  const home: AdminPage = { path: "/", description: "Admin home page", answer: () => buildHomePage(shown) };
  shown.push(home, {
    path: "/help",
    description: "print out list of admin commands",
    answer: () => ({ body: formatHelp(shown) }),
  });
  return shown;
}

interface Asked {
  readonly pages: readonly AdminPage[];
  readonly page: AdminPage | undefined;
  readonly method: string;
  readonly query: URLSearchParams;
}

function answer(source: AdminSource, { pages, page, method, query }: Asked): AdminAnswer {
  if (page === undefined) return { status: 404, body: `invalid path. ${formatHelp(pages)}` };
  if (page.isMutating === true && method !== "POST") {
    return { status: 405, body: `Method ${method} not allowed, POST required.` };
  }
  try {
    return page.answer(source, query);
  } catch (cause: unknown) {
    if (!(cause instanceof BadQueryError)) throw cause;
    return { status: cause.status, body: cause.message };
  }
}

function send(reply: FastifyReply, { status = 200, type = "text", body }: AdminAnswer): FastifyReply {
  return reply
    .code(status)
    .header("content-type", contentTypes[type])
    .header("cache-control", "no-cache, max-age=0")
    .header("x-content-type-options", "nosniff")
    .send(typeof body === "string" ? body : Readable.from(body, { objectMode: false }));
}

function findTarget({
  socket_address: socket,
  pipe,
}: Address): { readonly path: string } | { readonly host: string; readonly port: number } {
  if (pipe?.path !== undefined) return { path: pipe.path };
  if (socket?.address === undefined) throw new ConfigError("admin.address", "must be a socket address or a pipe");
  if (socket.named_port !== undefined)
    throw new ConfigError("admin.address.socket_address.named_port", "is not supported");
  return { host: socket.address, port: socket.port_value ?? 0 };
}
