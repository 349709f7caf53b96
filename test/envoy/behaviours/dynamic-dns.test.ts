import { describeBehaviours } from "./runner.ts";

describeBehaviours("dynamic-dns", ["gateway"]);
