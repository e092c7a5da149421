copies = 3
