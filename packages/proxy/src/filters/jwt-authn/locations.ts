/** Where tokens are looked for in a request, and how they are taken out again. */
import type { JwtProvider } from "@meltemi/protos/envoy/extensions/filters/http/jwt_authn/v3";
import type { HeaderList } from "../../http/header-list.ts";
import type { HttpRequest } from "../../http/message.ts";
import { findCookie } from "../cookies.ts";
import { findDecodedParameter, removeParameter } from "../query-string.ts";

/** A token that was found. */
export interface FoundToken {
  readonly text: string;
  /** True where a token of this issuer may stand here. */
  allowsIssuer(issuer: string): boolean;
  remove(request: HttpRequest): void;
}

interface Location {
  readonly key: string;
  readonly issuers: Set<string>;
  readonly find: (request: HttpRequest) => readonly string[];
  readonly remove: (request: HttpRequest) => void;
}

/** Finds the tokens for some providers, in the order in which Envoy verifies them. */
export function compileLocations(providers: readonly JwtProvider[]): (request: HttpRequest) => readonly FoundToken[] {
  const headers = new Map<string, Location>();
  const parameters = new Map<string, Location>();
  const cookies = new Map<string, Location>();
  for (const provider of providers) {
    for (const { name, prefix } of listHeaders(provider)) add(headers, provider, () => headerLocation(name, prefix));
    for (const name of listParameters(provider)) add(parameters, provider, () => parameterLocation(name));
    for (const name of provider.from_cookies ?? []) add(cookies, provider, () => cookieLocation(name));
  }
  const all = [headers, parameters, cookies].flatMap((locations) => [...locations.values()].sort(byKey));
  // The last that is found comes first.
  return (request) => all.flatMap((location) => findAt(location, request)).reverse();
}

function findAt(location: Location, request: HttpRequest): readonly FoundToken[] {
  const { issuers, remove } = location;
  const allowsIssuer = (issuer: string): boolean => issuers.has("") || issuers.has(issuer);
  return location.find(request).map((text) => ({ text, allowsIssuer, remove }));
}

function byKey(one: Location, other: Location): number {
  return one.key < other.key ? -1 : 1;
}

function add(locations: Map<string, Location>, provider: JwtProvider, create: () => Location): void {
  const created = create();
  const location = locations.get(created.key) ?? created;
  locations.set(created.key, location);
  // None means any issuer.
  location.issuers.add(provider.issuer ?? "");
}

function hasDefaultLocations({ from_headers = [], from_params = [], from_cookies = [] }: JwtProvider): boolean {
  return from_headers.length + from_params.length + from_cookies.length === 0;
}

function listHeaders(provider: JwtProvider): readonly { readonly name: string; readonly prefix: string }[] {
  if (hasDefaultLocations(provider)) return [{ name: "authorization", prefix: "Bearer " }];
  return (provider.from_headers ?? []).map(({ name = "", value_prefix: prefix = "" }) => ({
    name: name.toLowerCase(),
    prefix,
  }));
}

function listParameters(provider: JwtProvider): readonly string[] {
  return hasDefaultLocations(provider) ? ["access_token"] : (provider.from_params ?? []);
}

function headerLocation(name: string, prefix: string): Location {
  return {
    key: name + prefix,
    issuers: new Set(),
    find: ({ headers }) => readHeader(headers, name).flatMap((value) => cutToken(value, prefix) ?? []),
    remove: ({ headers }) => headers.remove(name),
  };
}

/** Envoy joins the lines of this header to one value, in which two tokens are none; those of others each hold their own. */
function readHeader(headers: HeaderList, name: string): readonly string[] {
  const value = name === "authorization" ? headers.joined(name) : undefined;
  return value === undefined ? headers.getAll(name) : [value];
}

/** What follows the prefix, wherever that stands, from the first letter on that a token can have. */
function cutToken(value: string, prefix: string): string | undefined {
  if (prefix === "") return value;
  const at = value.indexOf(prefix);
  if (at < 0) return undefined;
  const rest = value.slice(at + prefix.length);
  const start = rest.search(/[A-Za-z0-9_.-]/);
  return start < 0 ? value : rest.slice(start);
}

function parameterLocation(name: string): Location {
  return {
    key: name,
    issuers: new Set(),
    find({ path }) {
      const value = findDecodedParameter(path, name);
      return value === undefined ? [] : [value];
    },
    remove(request) {
      request.path = removeParameter(request.path, name);
    },
  };
}

function cookieLocation(name: string): Location {
  return {
    key: name,
    issuers: new Set(),
    find({ headers }) {
      const value = findCookie(headers, name);
      return value === undefined ? [] : [value];
    },
    // Envoy leaves cookies as they are.
    remove: () => undefined,
  };
}
