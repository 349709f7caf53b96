/** How an operator replaces the authority of a mesh (Istio: plug in CA certificates) so that nobody is left behind. */
import { renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Authority } from "../../src/ca/authority.ts";
import { readAuthority } from "../../src/ca/authority-files.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { pause } from "../../src/lib/pause.ts";

export interface Replacement {
  /** Holds the authority; its root-cert.pem is what sidecars have mounted. */
  readonly directory: string;
  readonly next: Authority;
  /** The roots that each sidecar believes now, PEM. */
  readonly trusted: () => readonly string[];
  /** The certificates that each sidecar shows now, PEM. */
  readonly chains: () => readonly string[];
}

/** Rejects where a step is not everywhere within three minutes. */
export async function replaceAuthority({ directory, next, trusted, chains }: Replacement): Promise<void> {
  const last = await readAuthority(directory, systemClock.now());
  if (last === undefined) throw new Error(`${directory} holds no authority`);
  const put = (name: string, text: string): void => {
    writeFileSync(join(directory, `.${name}.new`), text, { mode: 0o600 });
    renameSync(join(directory, `.${name}.new`), join(directory, name));
  };
  put("root-cert.pem", `${last.roots}${next.roots}`);
  await until("both roots are believed", () => trusted().every((roots) => roots.includes(next.certificate.trim())));
  const before = new Set(chains());
  // One after the other: a pair that does not fit together is ignored until it does.
  put("ca-key.pem", next.privateKey.reveal());
  put("ca-cert.pem", next.certificate);
  await until("every certificate was renewed", () => chains().every((chain) => !before.has(chain)));
  // Certificates that were under way when the authority changed are renewed once more.
  const between = new Set(chains());
  await until("all are of the next root", () => chains().every((chain) => !between.has(chain)));
  put("root-cert.pem", next.roots);
  await until("the last root is gone", () => trusted().every((roots) => !roots.includes(last.certificate.trim())));
}

async function until(what: string, isSo: () => boolean): Promise<void> {
  for (let round = 0; round < 3_600; round += 1) {
    if (isSo()) return;
    await pause(systemClock, 50);
  }
  throw new Error(`not within three minutes: ${what}`);
}
