-- Why: a healthy server that is known is asked for one document only; what that takes is kept in the ledger.

ALTER TABLE domains
    -- Until when a good look is trusted: discovery and identity need no confirmation; null: there is none to trust.
    ADD COLUMN trusted_until timestamptz,
    -- By what to ask whether the NodeInfo document has changed: an entity tag or a date.
    ADD COLUMN nodeinfo_validator text;
