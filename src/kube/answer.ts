/** Reads what an API server answers: whole bodies, streams, and refusals as errors. */
import type { IncomingMessage } from "node:http";
import type { Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import { KubeApiError, KubeConnectionError } from "./kube-client.ts";

/** The text of a `Status` is a line; what is longer came from somewhere else. */
const maxErrorBytes = 256 * 1024;

/** The body as it was before compression. */
export function decompress(answer: IncomingMessage): Readable {
  if (answer.headers["content-encoding"] !== "gzip") return answer;
  const unpacked = createGunzip();
  // Not pipe(): a connection that breaks must break the reading as well.
  answer.on("error", (cause) => unpacked.destroy(cause));
  answer.on("aborted", () => unpacked.destroy(new Error("the connection broke")));
  return answer.pipe(unpacked);
}

/** Reads a whole body as text. Throws KubeConnectionError where it is longer than `maxBytes`. */
export async function readText(answer: IncomingMessage, maxBytes: number): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of decompress(answer)) {
    const bytes = chunk as Buffer;
    length += bytes.length;
    if (length > maxBytes) {
      answer.destroy();
      throw new KubeConnectionError(`the answer is longer than ${maxBytes} bytes`);
    }
    chunks.push(bytes);
  }
  return Buffer.concat(chunks).toString("utf8");
}

/** Reads a refusal. `asked` names the request, such as "GET /api/v1/pods". */
export async function readError(answer: IncomingMessage, asked: string): Promise<KubeApiError> {
  const status = answer.statusCode ?? 0;
  const text = await readText(answer, maxErrorBytes).catch(() => "");
  const { message, reason, retryAfterMs: inBody } = parseStatus(text);
  const told = message === "" ? firstLine(text) : message;
  const retryAfterMs = parseRetryAfter(answer.headers["retry-after"]) ?? inBody;
  const said = told === "" ? (answer.statusMessage ?? "") : told;
  return new KubeApiError(status, `${asked}: ${status}${said === "" ? "" : ` ${said}`}`, {
    reason,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  });
}

export interface StatusText {
  readonly message: string;
  readonly reason: string;
  readonly retryAfterMs: number | undefined;
}

function parseStatus(text: string): StatusText {
  try {
    return readStatus(JSON.parse(text));
  } catch {
    return readStatus(undefined);
  }
}

/** The parts of a `Status` object that count; empty ones for anything else. */
export function readStatus(value: unknown): StatusText {
  const status = asRecord(value);
  const [message, reason] = [status["message"], status["reason"]];
  const seconds = asRecord(status["details"])["retryAfterSeconds"];
  return {
    message: typeof message === "string" ? message : "",
    reason: typeof reason === "string" ? reason : "",
    retryAfterMs: typeof seconds === "number" && seconds > 0 ? seconds * 1000 : undefined,
  };
}

function asRecord(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}

function firstLine(text: string): string {
  return (text.split("\n")[0] ?? "").slice(0, 200).trim();
}

/** Whole seconds: the only form that API servers use. */
function parseRetryAfter(header: string | undefined): number | undefined {
  return header !== undefined && /^\d+$/.test(header) ? Number(header) * 1000 : undefined;
}
