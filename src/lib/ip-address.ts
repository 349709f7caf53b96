/** IP addresses as numbers. */
import { isIP } from "node:net";

export interface AddressBits {
  readonly bits: bigint;
  /** How many bits there are. */
  readonly size: 32 | 128;
}

/** The bits of an IP address as a number, and how many there are: 32 or 128. The text must be one (isIP). */
export function parseAddressBits(address: string): AddressBits {
  if (isIP(address) === 4) return { bits: joinParts(address.split(".").map(Number), 8n), size: 32 };
  // An IPv4 address may stand for the last two groups; a zone (%eth0) is no part of the number.
  const text = (address.split("%")[0] ?? "").replace(/[0-9.]+$/, (last) =>
    last.includes(".") ? toGroups(last) : last,
  );
  const [head = [], tail] = text.split("::").map((half) => half.split(":").filter((group) => group !== ""));
  const missing = tail === undefined ? 0 : 8 - head.length - tail.length;
  const groups = [...head, ...Array<string>(missing).fill("0"), ...(tail ?? [])];
  return {
    bits: joinParts(
      groups.map((group) => Number.parseInt(group, 16)),
      16n,
    ),
    size: 128,
  };
}

/** An address as text, IPv6 in the short form (RFC 5952: the longest run of zero groups is left out). */
export function formatAddressBits({ bits, size }: AddressBits): string {
  if (size === 32) return splitParts(bits, 4, 8n).join(".");
  const groups = splitParts(bits, 8, 16n).map((group) => group.toString(16));
  const runs = [...groups.join(":").matchAll(/(?:^|:)0(?::0)+(?=:|$)/g)].map(([run]) => run);
  const longest = runs.reduce((best, run) => (run.length > best.length ? run : best), "");
  if (longest === "") return groups.join(":");
  const [head = "", ...tail] = groups.join(":").split(longest);
  return `${head}::${tail.join(longest).replace(/^:/, "")}`;
}

function toGroups(ipv4: string): string {
  const bits = joinParts(ipv4.split(".").map(Number), 8n);
  return `${(bits >> 16n).toString(16)}:${(bits & 0xffffn).toString(16)}`;
}

function joinParts(parts: readonly number[], width: bigint): bigint {
  return parts.reduce((sum, part) => (sum << width) + BigInt(part), 0n);
}

function splitParts(bits: bigint, count: number, width: bigint): readonly number[] {
  const mask = (1n << width) - 1n;
  return Array.from({ length: count }, (_, index) => Number((bits >> (width * BigInt(count - 1 - index))) & mask));
}
