/** Heads of answers as HTTP/2 has them. */
import { addField, isConnectionHeader } from "@meltemi/http2/field-rules";
import type { HeaderList } from "../header-list.ts";

/** Name, value, name, value … of a head. Throws where HTTP/2 cannot carry it. */
export function formatHead(status: number, headers: HeaderList): string[] {
  return addFields([":status", String(status)], headers);
}

/** The same of trailers. */
export function formatTrailers(headers: HeaderList): string[] {
  return addFields([], headers);
}

function addFields(list: string[], { raw }: HeaderList): string[] {
  for (let index = 0; index < raw.length; index += 2) {
    const name = raw[index] ?? "";
    if (!isLeftOut(name)) addField(list, name, raw[index + 1] ?? "");
  }
  return list;
}

/** What HTTP/2 has no place for (RFC 9113, section 8.2.2). */
function isLeftOut(name: string): boolean {
  return isConnectionHeader(name) || name === "http2-settings";
}
