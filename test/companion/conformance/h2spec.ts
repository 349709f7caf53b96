/** Runs h2spec, a client that breaks the rules of HTTP/2 in every way that it knows, and reads what it made of the answers. */
import { execFile } from "node:child_process";

export type Verdict = "passed" | "failed" | "skipped";

/** Verdicts by case: "http2/6.7/2", as h2spec itself takes them on its command line, and what the case does. */
export type Verdicts = ReadonlyMap<string, Verdict>;

/** Asked side by side: most of the time goes by in waiting for what should not come. */
const parts = [["generic", "hpack"], ["http2/3", "http2/4", "http2/5"], ["http2/6"], ["http2/7", "http2/8"]] as const;

export interface H2specTarget {
  readonly program: string;
  readonly port: number;
  readonly isTls: boolean;
  /** How long h2spec waits for each thing that is to come. */
  readonly timeoutSeconds: number;
}

/** Runs every case, strict ones included. Rejects where h2spec does not get through. */
export async function runH2spec(target: H2specTarget): Promise<Verdicts> {
  const reports = await Promise.all(parts.map((specs) => runPart(target, specs)));
  return new Map(reports.flatMap((report) => [...readH2specReport(report)]));
}

/** Runs single cases, by their names. */
export async function runH2specCases(target: H2specTarget, names: readonly string[]): Promise<Verdicts> {
  if (names.length === 0) return new Map();
  return readH2specReport(
    await runPart(
      target,
      names.map((name) => name.slice(0, name.indexOf(":"))),
    ),
  );
}

/** H2spec gives up where a connection takes too long, which a machine under load may make happen: then it gets more time. */
async function runPart(target: H2specTarget, specs: readonly string[]): Promise<string> {
  return start(target, specs).catch(() => start({ ...target, timeoutSeconds: target.timeoutSeconds * 5 }, specs));
}

function start({ program, port, isTls, timeoutSeconds }: H2specTarget, specs: readonly string[]): Promise<string> {
  const args = ["--strict", "--host", "127.0.0.1", "--port", String(port), "--timeout", String(timeoutSeconds)];
  if (isTls) args.push("--tls", "--insecure");
  return new Promise((resolve, reject) => {
    execFile(program, [...args, ...specs], { timeout: 200_000, killSignal: "SIGKILL" }, (cause, report) => {
      // It ends with 1 where a case failed: whether that is right is for others to say.
      if (cause === null || (cause.code === 1 && report.includes("Finished in"))) resolve(report);
      else reject(new Error(`h2spec ${specs.join(" ")}: ${cause.message}\n${report.slice(-2_000)}`));
    });
  });
}

/** Headings of the three documents, and what h2spec calls them. */
const documents: ReadonlyMap<string, string> = new Map([
  ["Generic tests for HTTP/2 server", "generic"],
  ["Hypertext Transfer Protocol Version 2 (HTTP/2)", "http2"],
  ["HPACK: Header Compression for HTTP/2", "hpack"],
]);
const verdicts: Readonly<Record<string, Verdict>> = { "✔": "passed", "×": "failed", "": "skipped" };

/** Throws where what was read is not what h2spec itself counts. (Its JUnit report is no XML where bytes are quoted.) */
export function readH2specReport(report: string): Verdicts {
  const found = new Map<string, Verdict>();
  let [document, section] = ["", ""];
  // Failures come a second time at the end.
  const [cases = ""] = report.split(/^Failures:/m);
  for (const written of cases.split("\n")) {
    // A line is written over when its case is done.
    const line = written.slice(written.lastIndexOf("\r") + 1);
    document = documents.get(line) ?? document;
    section = /^ +([\d.]+)\. /.exec(line)?.[1] ?? section;
    const [, mark, number, title] = /^ +([✔×]?) ?(\d+): (.*)$/.exec(line) ?? [];
    if (mark === undefined) continue;
    found.set(`${document}/${section}/${number}: ${title}`, verdicts[mark] ?? "failed");
  }
  const count = (verdict: Verdict): number => [...found.values()].filter((each) => each === verdict).length;
  const sum = `${found.size} tests, ${count("passed")} passed, ${count("skipped")} skipped, ${count("failed")} failed`;
  if (!report.includes(sum)) throw new Error(`h2spec counts otherwise than ${sum}:\n${report.slice(-200)}`);
  return found;
}
