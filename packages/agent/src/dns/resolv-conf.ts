/** resolv.conf(5), as far as the agent uses it. */

export interface ResolvConf {
  /** Addresses of resolvers, in the order of the file. */
  readonly nameservers: readonly string[];
  readonly search: readonly string[];
  /** Names with fewer dots are tried with the search domains first. */
  readonly ndots: number;
}

/** Parses the text of a resolv.conf; of `search` and `domain` the last line counts. What it does not know it skips. */
export function parseResolvConf(text: string): ResolvConf {
  const lines = text
    .split("\n")
    .map((line) =>
      line
        .replace(/[#;].*$/, "")
        .trim()
        .split(/\s+/),
    )
    .filter(([word]) => word !== undefined && word !== "");
  const search = lines.findLast(([word]) => word === "search" || word === "domain");
  const options = lines.filter(([word]) => word === "options").flatMap((words) => words.slice(1));
  const ndots = options.map((option) => /^ndots:(\d{1,2})$/.exec(option)?.[1]).findLast((value) => value !== undefined);
  return {
    nameservers: lines.flatMap(([word, server]) => (word === "nameserver" && server !== undefined ? [server] : [])),
    search: search?.slice(1, search[0] === "domain" ? 2 : undefined) ?? [],
    ndots: ndots === undefined ? 1 : Math.min(Number(ndots), 15),
  };
}
