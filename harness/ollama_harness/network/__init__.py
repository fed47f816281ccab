"""Which way a request goes: the settings of a machine, what they ask, and what each library makes of them."""
