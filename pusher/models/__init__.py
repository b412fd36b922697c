"""The nouns that every floor shares.

Here live frozen, keyword-only values and enums. What must not live here: I/O, a clock, defaults read from the
environment. The names of an outcome's fields and the enums' values are what scripts read: they do not change.
Everybody imports them from here, whatever the file: a noun may move to another without anyone noticing.
"""

from pusher.models.accounts import Account, Credential, Secret
from pusher.models.common import SUCCESSES, NextMove, Protocol, Source, Stage, Status, TransportKind, Verb
from pusher.models.content import ContentKind, RunNeeds, Stored
from pusher.models.journals import Journal, JournalStep, Mark
from pusher.models.outcomes import AccountTried, Attempt, Check, CheckResult, Outcome, StepTime
from pusher.models.packages import (
    LOGON_RIGHT,
    RUN_AS_ACCOUNT,
    RUN_AS_SYSTEM,
    Detect,
    DetectBy,
    Installer,
    InstallerKind,
    Package,
    PackageFile,
    ServiceSpec,
)
from pusher.models.runs import Event, Run
from pusher.models.targets import DOMAIN_CONTROLLERS, Target, WinrmSettings
from pusher.models.waves import Wave, WaveCounts, WavePlan, WaveState
from pusher.models.work import Claim, ReadyWork, WorkState

__all__ = [
    "DOMAIN_CONTROLLERS",
    "LOGON_RIGHT",
    "RUN_AS_ACCOUNT",
    "RUN_AS_SYSTEM",
    "SUCCESSES",
    "Account",
    "AccountTried",
    "Attempt",
    "Check",
    "CheckResult",
    "Claim",
    "ContentKind",
    "Credential",
    "Detect",
    "DetectBy",
    "Event",
    "Installer",
    "InstallerKind",
    "Journal",
    "JournalStep",
    "Mark",
    "NextMove",
    "Outcome",
    "Package",
    "PackageFile",
    "Protocol",
    "ReadyWork",
    "Run",
    "RunNeeds",
    "Secret",
    "ServiceSpec",
    "Source",
    "Stage",
    "Status",
    "StepTime",
    "Stored",
    "Target",
    "TransportKind",
    "Verb",
    "Wave",
    "WaveCounts",
    "WavePlan",
    "WaveState",
    "WinrmSettings",
    "WorkState",
]
