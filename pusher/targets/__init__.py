"""Which machines a run is about: inventories, ranges, selection, names and sites.

Here live the readers of every inventory format, the lazy expansion into ``Target``s with the reason why each is
in or out, the resolver port with its adapters, and the subnet table.
What must not live here: credentials, transports, anything that talks to a target.
"""
