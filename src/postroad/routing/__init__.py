"""Where a recipient's mail goes: `aliases` expands an address at acceptance, `routes` names the next hop at acceptance
and again at each attempt, `directory` keeps both answers at hand."""
