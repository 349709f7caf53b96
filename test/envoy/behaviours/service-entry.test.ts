import { describeBehaviours } from "./runner.ts";

describeBehaviours("service-entry");
