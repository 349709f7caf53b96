import type { HeaderList } from "../http/header-list.ts";

/** The value of a request's cookie, without quotes around it; undefined where there is none. The first counts. */
export function findCookie(headers: HeaderList, name: string): string | undefined {
  const { raw } = headers;
  for (let index = 0; index < raw.length; index += 2) {
    if (raw[index] !== "cookie") continue;
    for (const pair of (raw[index + 1] ?? "").split(";")) {
      const equals = pair.indexOf("=");
      if (equals < 0 || pair.slice(0, equals).trim() !== name) continue;
      const value = pair.slice(equals + 1).trim();
      return value.length > 1 && value.startsWith('"') && value.endsWith('"') ? value.slice(1, -1) : value;
    }
  }
  return undefined;
}
