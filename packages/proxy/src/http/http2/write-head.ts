/** Headers of answers in the forms that node:http2 takes. */
import type { OutgoingHttpHeaders } from "node:http2";
import { isConnectionHeader } from "../connection-headers.ts";
import type { HeaderList } from "../header-list.ts";

/** As `respond` takes it: a flat list, or an object where the platform knows no lists. */
export type ResponseHead = readonly string[] | OutgoingHttpHeaders;

/**
 * Whether `respond` takes lists: since Node 22.20 and 24.7. They save a copy into an object, another one in the platform
 * and the walk through its keys, which is one part in fourteen of all that a request of 1 kB costs.
 */
export function takesLists(version: string): boolean {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  return (major === 22 && minor >= 20) || (major === 24 && minor >= 7) || major > 24;
}

const formatsLists = takesLists(process.versions.node);

/** The head of an answer. */
export function formatHead(status: number, headers: HeaderList): ResponseHead {
  if (formatsLists) return toList(status, headers);
  const object = toObject(headers);
  object[":status"] = status;
  return object;
}

/** Headers of which node:http2 takes one value only: several go out as a list. */
const singleValues = new Set(
  (
    "access-control-allow-credentials access-control-max-age access-control-request-method age authorization " +
    "content-encoding content-language content-length content-location content-md5 content-range content-type date dnt " +
    "etag expires from host if-match if-modified-since if-none-match if-range if-unmodified-since last-modified location " +
    "max-forwards proxy-authorization range referer retry-after server tk upgrade-insecure-requests user-agent " +
    "x-content-type-options"
  ).split(" "),
);

/** Headers as node:http2 takes them; several of one name as an array. */
export function toObject(headers: HeaderList): OutgoingHttpHeaders {
  const { raw } = headers;
  const object: OutgoingHttpHeaders = Object.create(null) as OutgoingHttpHeaders;
  for (let index = 0; index < raw.length; index += 2) {
    const name = raw[index] ?? "";
    if (isLeftOut(name)) continue;
    const value = raw[index + 1] ?? "";
    const before = object[name];
    if (before === undefined) object[name] = value;
    else if (singleValues.has(name)) object[name] = `${String(before)}, ${value}`;
    else if (Array.isArray(before)) before.push(value);
    else object[name] = [String(before), value];
  }
  return object;
}

/** What HTTP/2 has no place for (RFC 9113, section 8.2.2). */
function isLeftOut(name: string): boolean {
  return isConnectionHeader(name) || name === "http2-settings";
}

function toList(status: number, { raw }: HeaderList): string[] {
  const list = [":status", String(status)];
  for (let index = 0; index < raw.length; index += 2) {
    const name = raw[index] ?? "";
    if (isLeftOut(name)) continue;
    const value = raw[index + 1] ?? "";
    const place = singleValues.has(name) ? findName(list, name) : -1;
    if (place < 0) list.push(name, value);
    else list[place + 1] += `, ${value}`;
  }
  return list;
}

function findName(list: readonly string[], name: string): number {
  for (let index = 0; index < list.length; index += 2) if (list[index] === name) return index;
  return -1;
}
